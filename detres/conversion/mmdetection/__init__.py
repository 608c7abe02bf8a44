"""Detectors of mmdetection's."""
