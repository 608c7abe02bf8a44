"""Images with boxes: annotations, their check, augmentation, and loaders."""
