"""Boxes in tables of comma-separated values: the many orders of columns that tools and people write."""
