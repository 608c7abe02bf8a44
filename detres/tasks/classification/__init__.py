"""What a classifier contributes to a run."""
