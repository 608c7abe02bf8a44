from __future__ import annotations

from typing import Any

import pytest

from detres.config.keys.words import value_text, values_of, words_of


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"type": "integer", "minimum": 1}, "a whole number from 1"),
        ({"type": "integer"}, "a whole number"),
        ({"type": "number", "minimum": 0.0, "maximum": 1.0}, "a number from 0 to 1"),
        ({"type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0}, "a number from 0 to below 1"),
        ({"type": "number", "exclusiveMinimum": 0.0, "maximum": 1.0}, "a number above 0 to 1"),
        ({"type": "number", "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0}, "a number above 0 and below 1"),
        ({"type": "number", "maximum": 2.0}, "a number up to 2"),
        ({"type": "boolean"}, "true or false"),
        ({"type": "string"}, "text"),
        ({"enum": ["c4", "dc5", "fpn"]}, "one of c4, dc5, fpn"),
        ({"enum": [1, 10, "dense"]}, "one of 1, 10, dense"),
        ({"const": "detection"}, "detection alone"),
        ({"type": "object"}, "a group of keys"),
        ({"type": "array", "items": {"type": "string"}}, "a list of texts"),
        ({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}, "a list of 2 numbers"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, "a list of one or more whole numbers"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "a list of lists of numbers"),
    ],
)
def test_a_value_is_told_in_plain_words(node: dict[str, Any], words: str) -> None:
    assert words_of(node) == words


def test_alternatives_are_told_one_after_the_other() -> None:
    own = {"type": "string", "pattern": ":", "title": "module:callable"}
    assert words_of({"anyOf": [{"enum": ["coco", "voc"]}, own]}) == "one of coco, voc, or module:callable"
    assert words_of({"anyOf": [{"type": "number"}, {"type": "null"}]}) == "a number, or null"
    flags = {"anyOf": [{"enum": ["none", "score"]}, {"type": "boolean"}, {"type": "null"}]}
    assert words_of(flags) == "one of none, score, true, false, or null"


def test_the_only_entry_of_a_list_may_stand_alone() -> None:
    texts = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
    assert words_of(texts) == "a list of texts, or one alone"
    names = {"enum": ["json", "csv"], "type": "string"}
    own = {"type": "string", "pattern": ":", "title": "module:callable"}
    loggers = {"anyOf": [{"type": "array", "items": {"anyOf": [names, own]}}, names, own]}
    assert words_of(loggers) == "a list of any of json, csv or module:callable, or one alone"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1e-6, "1e-06"),
        (4 / 3, "1.33333"),
        (16, "16"),
        ("", '""'),
        ([], "[]"),
        ([0.5, 1.0, 2.0], "[0.5, 1, 2]"),
        ([{"HorizontalFlip": {"p": 0.5}}], "[{HorizontalFlip: {p: 0.5}}]"),
        ({}, "{}"),
    ],
)
def test_a_value_is_written_as_behind_its_key(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_values_are_those_that_are_spelled_out() -> None:
    assert values_of({"anyOf": [{"enum": ["c4", "fpn"]}, {"type": "null"}]}) == ("c4", "fpn", "null")
    assert values_of({"type": "boolean"}) == ("true", "false")
    assert values_of({"enum": [1, "dense"]}) == ("1", "dense")
    assert values_of({"type": "integer"}) == ()
