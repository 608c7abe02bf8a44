"""Backbones: images in, feature maps out, with the weights, pixel statistics and strides that belong to them."""

from detres.backbones.building import build_backbone, list_backbones

__all__ = ["build_backbone", "list_backbones"]
