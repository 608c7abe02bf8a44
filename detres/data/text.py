"""Where the readers of sets find detres.files.text."""

from detres.files.text import decode_text, read_text

__all__ = ["decode_text", "read_text"]
