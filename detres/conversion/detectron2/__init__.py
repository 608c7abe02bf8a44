"""Detectors of detectron2's."""
