"""Faster R-CNN itself, from features to losses and detections."""
