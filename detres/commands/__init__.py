"""One file a command; main.py finds it."""
