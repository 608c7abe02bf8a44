"""Data sets: formats, images, annotations, loaders."""
