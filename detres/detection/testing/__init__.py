"""How a detector is tested: copies of an image, refinement, and the merging of what was found."""
