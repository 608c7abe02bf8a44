"""Where on an image its one class of object lies: per-class proposals, and an R-CNN on them (He et al. 2015, C)."""
