"""A set as a page to look through: what is odd about its images, which are shown, and the page."""
