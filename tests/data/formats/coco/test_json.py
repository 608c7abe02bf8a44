"""The text of annotation files, as editors and machines write it."""

import codecs
import gc
import json
from collections.abc import Callable

import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.json import without_collections
from detres.errors import DataError

Load = Callable[..., AnnotatedImages]
CONTENT = {
    "images": [{"id": 1, "file_name": "a.png"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]}],
    "categories": [{"id": 1, "name": "chaîne"}],
}
TEXT = json.dumps(CONTENT, ensure_ascii=False)


@pytest.mark.parametrize(
    "raw",
    [
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-32"),
        TEXT.replace(",", ",\r\n").encode(),
    ],
    ids=["utf-8 with mark", "utf-16", "utf-16 big", "utf-16 without mark", "utf-32", "Windows line ends"],
)
def test_any_unicode_is_read(load_entries: Load, raw: bytes) -> None:
    dataset = load_entries(raw=raw)
    assert dataset.class_names == ("chaîne",)
    assert len(dataset.boxes) == 1


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (TEXT.encode("cp1252"), "code page"),
        (b"", "this is no JSON"),
        (b"\xff\xfe\x00", "this is no JSON|UTF-16"),
        (TEXT.encode()[:-9], "this is no JSON"),
        (b"[" * 100_000, "nested a thousand deep"),
        (b'{"images": ' + b'{"a":' * 50_000, "nested a thousand deep"),
        *((TEXT.encode() + b" x", "this is no JSON: Extra data"), (b'{"images": [] "a": 1}', "this is no JSON")),
        *((b'{"images" []}', "this is no JSON"), (b"{images: []}", "this is no JSON"), (b"{", "this is no JSON")),
        *((b'{"images": [],}', "this is no JSON"), (b"{ } ", "it has no images"), (b" [1] ", "it holds a list")),
        (b"null", "it holds a NoneType, not an object"),
        (b'{"images": null, "categories": [], "annotations": []}', "its images are no list of objects"),
        (b'{"images": [], "categories": [], "annotations": []}', "it lists no images"),
    ],
)
def test_what_is_no_annotation_file_is_one_error_that_names_it(load_entries: Load, raw: bytes, said: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)train\.json.*({said})"):
        load_entries(raw=raw)


def test_a_number_of_thousands_of_digits_is_a_problem_like_any_other(load_entries: Load) -> None:
    more = {"id": 2, "image_id": 1, "category_id": 1, "bbox": ["DIGITS", 2, 3, 4]}
    content = CONTENT | {"annotations": [*CONTENT["annotations"], more]}
    dataset = load_entries(raw=json.dumps(content).replace('"DIGITS"', "9" * 5000).encode())
    assert (len(dataset.boxes), dataset.problem_counts()) == (1, {"annotation malformed": 1})


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_list_that_stands_twice_is_refused_and_not_halved(load_entries: Load, key: str, encoding: str) -> None:
    raw = f'{TEXT[:-1]}, "{key}" :\n{json.dumps(CONTENT[key])}}}'.encode(encoding)
    with pytest.raises(DataError, match=rf"train\.json: {key} stands twice in it, with 1 and 1 entries"):
        load_entries(raw=raw)


def test_lists_of_such_names_deeper_in_a_file_are_no_repetition(load_entries: Load) -> None:
    info = {"images": [1], "annotations": [2], "more": {"categories": 3, "annotations": []}}
    image = CONTENT["images"][0] | {"annotations": [], "note": '"images": []'}
    assert len(load_entries(raw=json.dumps({"info": info} | CONTENT | {"images": [image]}).encode()).boxes) == 1


def test_reading_leaves_pythons_collections_as_they_were(load_entries: Load) -> None:
    load_entries()
    assert gc.isenabled()
    gc.disable()
    try:
        with without_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(DataError):
        load_entries(raw=b"")
    assert gc.isenabled()
