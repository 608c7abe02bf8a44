"""Sets in the format of COCO."""
