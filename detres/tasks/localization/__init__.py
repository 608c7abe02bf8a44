"""What a localizer contributes to a run."""
