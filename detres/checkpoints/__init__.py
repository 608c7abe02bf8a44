"""Checkpoints and weights files on the disk: what they hold, where they lie, how they are written and read."""
