"""Markdown from the program's own lists: a file a part, each a function without arguments."""
