"""Images with a class and its boxes."""
