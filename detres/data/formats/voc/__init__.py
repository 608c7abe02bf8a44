"""Sets in the format of PASCAL VOC."""
