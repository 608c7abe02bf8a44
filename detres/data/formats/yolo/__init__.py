"""Sets in the format of YOLO."""
