"""Detectors of torchvision's."""
