"""Words of messages that depend on what is counted."""

from __future__ import annotations


def number_of(count: int, noun: str) -> str:
    """1 image, 2 images, 1000 boxes, 0 classes."""
    many = f"{noun}es" if noun.endswith(("s", "x")) else f"{noun}s"
    return f"{count} {noun if count == 1 else many}"


def set_in_words(images: int, boxes: int, classes: int) -> str:
    """205 images, 2804 boxes of 3 classes."""
    return f"{number_of(images, 'image')}, {number_of(boxes, 'box')} of {number_of(classes, 'class')}"
