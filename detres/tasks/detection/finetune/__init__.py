"""A recipe for a set of one's own: what depends on the set is chosen by looking at it, and said with its reason."""

FINETUNE = "finetune"
"""The name of its config, of which the choices are laid over."""
