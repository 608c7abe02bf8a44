"""Residual networks trained by the paper's recipe, plugged into Faster R-CNN."""

from detres.version import __version__

__all__ = ["__version__"]
