"""Faster R-CNN, its tests and its files."""
