"""Backbones: images in, feature maps out, with the weights, pixel statistics and strides that belong to them."""
