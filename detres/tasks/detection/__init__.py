"""What a detector contributes to a run."""
