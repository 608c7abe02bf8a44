"""Images with a class: sets, crops, views, and loaders."""
