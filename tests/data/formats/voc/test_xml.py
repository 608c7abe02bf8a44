"""VOC's XML: one reader, strict about values and safe with any file."""

import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.formats.voc.xml import VocFile, class_names_of, parse_annotation
from detres.errors import DataError

Parse = Callable[..., VocFile]


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    def parse(content: str | bytes) -> VocFile:
        file = tmp_path / "a.xml"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return parse_annotation(file)

    return parse


def an_object(name: str = "cat", xmin: str = "6", more: str = "") -> str:
    box = f"<bndbox><xmin>{xmin}</xmin><ymin>6</ymin><xmax>25</xmax><ymax>25</ymax></bndbox>"
    return f"<object><name>{name}</name>{more}{box}</object>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", False), ("1", True), (" 1 ", True), ("1.0", True), ("false", False), ("True", True), ("", False)],
)
@pytest.mark.parametrize("tag", ["difficult", "truncated"])
def test_flags_are_what_their_text_says(parse: Parse, tag: str, text: str, expected: bool) -> None:
    found = parse(f"<annotation>{an_object(more=f'<{tag}>{text}</{tag}>')}</annotation>")
    assert getattr(found.boxes[0], tag) is expected
    assert not found.slips


@pytest.mark.parametrize("text", ["2", "-1", "maybe", "nan"])
def test_a_flag_that_is_none_is_a_slip_and_not_set(parse: Parse, text: str) -> None:
    found = parse(f"<annotation>{an_object(more=f'<difficult>{text}</difficult>')}</annotation>")
    assert not found.boxes[0].difficult
    assert found.slips == [f"difficult of a cat is {text!r}, expected 0 or 1; taken for 0"]


@pytest.mark.parametrize("text", ["1" + "0" * 400, "inf", "-Infinity", "nan", "1_0", "0x10", "6,5", "six", "", "١"])
def test_a_coordinate_that_is_no_finite_number_is_nan(parse: Parse, text: str) -> None:
    assert math.isnan(parse(f"<annotation>{an_object(xmin=text)}</annotation>").boxes[0].xyxy[0])


@pytest.mark.parametrize("text", ["6", " 6 ", "6.0", "+6", "6e0", "\n6\n"])
def test_text_that_is_a_number_is_that_number(parse: Parse, text: str) -> None:
    assert parse(f"<annotation>{an_object(xmin=text)}</annotation>").boxes[0].xyxy == (5, 5, 25, 25)


@pytest.mark.parametrize(("width", "said"), [("64", 0), ("64.0", 0), ("wide", 1), ("9" * 400, 1), ("inf", 1)])
def test_a_size_that_is_no_number_is_no_claim_and_said(parse: Parse, width: str, said: int) -> None:
    found = parse(f"<annotation><size><width>{width}</width><height>48</height></size></annotation>")
    assert found.size == (None if said else (48, 64))
    assert len(found.slips) == said


def test_a_size_that_is_left_empty_is_no_slip(parse: Parse) -> None:
    assert parse("<annotation><size><width/><height></height></size></annotation>") == VocFile(None, None, [])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>%s', "café"),
        (b'<?xml version="1.0" encoding="utf-16"?>%s', "café"),  # as .NET writes UTF-8
        (b'<?xml version="1.0" encoding="gb2312"?>%s', "狗"),
        (b'<?xml version="1.0" encoding="Shift_JIS"?>%s', "犬"),
        (b"\xef\xbb\xbf%s", "café"),
        (b"%s", "salt &amp; pepper"),
        (b"%s", "<![CDATA[salt & pepper]]>"),
    ],
)
def test_names_are_read_in_the_encoding_that_the_file_states(parse: Parse, content: bytes, name: str) -> None:
    encoding = {"ISO": "latin-1", "gb2": "gb2312", "Shi": "shift_jis"}.get(content[30:33].decode(errors="replace"))
    text = f"<annotation>{an_object(name)}</annotation>".encode(encoding or "utf-8")
    expected = "salt & pepper" if "salt" in name else name
    assert parse(content.replace(b"%s", text)).boxes[0].name == expected


def test_names_of_either_form_of_unicode_are_one(parse: Parse) -> None:
    found = parse("<annotation>" + an_object("caf\u00e9") + an_object("cafe\u0301") + "</annotation>")
    assert {box.name for box in found.boxes} == {"caf\u00e9"}


def test_utf_16_is_read(parse: Parse) -> None:
    text = f'<?xml version="1.0" encoding="UTF-16"?><annotation>{an_object("狗")}</annotation>'
    assert parse(text.encode("utf-16")).boxes[0].name == "狗"


def test_a_code_page_that_is_not_stated_is_named(parse: Parse) -> None:
    with pytest.raises(DataError, match=r"a\.xml: line 1 is no UTF-8 text"):
        parse(f"<annotation>{an_object('狗')}</annotation>".encode("gbk"))


def bomb(ending: str = "") -> str:
    levels = "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    return f'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">{levels}]><annotation>{an_object("&j;")}</annotation>{ending}'


@pytest.mark.parametrize(
    "content",
    [
        bomb().encode(),
        bomb().encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ATTLIST b c CDATA "' + b"x" * 500_000 + b'">]><a>' + b"<b/>" * 100_000 + b"</a>",
    ],
)
def test_declarations_that_make_a_small_file_large_are_refused(parse: Parse, content: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(DataError, match="declares entities or attributes of its own"):
        parse(content)
    assert tracemalloc.get_traced_memory()[1] < 8 * len(content) + 2**20
    tracemalloc.stop()


def test_a_declared_document_type_alone_does_no_harm(parse: Parse) -> None:
    found = parse(f'<!DOCTYPE annotation SYSTEM "voc.dtd"><annotation>{an_object()}</annotation>')
    assert [box.name for box in found.boxes] == ["cat"]


@pytest.mark.slow
def test_depth_is_no_matter(parse: Parse) -> None:
    depth = 30_000
    assert len(parse(f"<annotation>{'<object>' * depth}{'</object>' * depth}</annotation>").boxes) == depth


def test_a_file_beyond_all_measure_is_refused_before_it_is_read(parse: Parse) -> None:
    with pytest.raises(DataError, match="larger than 4 MiB"):
        parse(b" " * (5 * 2**20))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\0" * 50, b"<a>", b"\xff\xfe", b"\xff\xfe<", b"<a>&x;</a>", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n"),
        *(b'<?xml version="1.0" encoding="zlib"?><a>', b'<?xml version="1.0" encoding="gbk"?><a>\xff</a>'),
    ],
)
def test_whatever_is_no_xml_is_a_plain_error(parse: Parse, content: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.xml: "):
        parse(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "it is a <{http://www.w3.org/2000/svg"),
        (f"<annotations>{an_object()}</annotations>", "it is a <annotations>, not an <annotation>"),
        (f"<annotation>{an_object().replace('object', 'Object')}</annotation>", "has a <Object> where VOC has"),
        (f"<annotation>{an_object()}{an_object().replace('object', 'OBJECT')}</annotation>", "has a <OBJECT> where"),
        ("<annotation><item><bndbox/></item></annotation>", "has a <bndbox> where"),
        ("<annotation><box label='cat' xtl='1'/></annotation>", "has a <box> where"),
        (f'<annotation xmlns="x">{an_object()}</annotation>', "has a <{x}object> where"),
    ],
)
def test_xml_of_another_kind_is_no_image_without_objects(parse: Parse, tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(content)
    assert said in str(caught.value)
    with pytest.raises(DataError, match=r"a\.xml: "):
        class_names_of(str(tmp_path / "a.xml"))


def test_the_case_of_annotation_is_no_matter(parse: Parse) -> None:
    assert len(parse(f"<Annotation>{an_object()}</Annotation>").boxes) == 1
    assert parse("<annotation/>").boxes == []


def test_class_names_are_those_of_the_boxes(parse: Parse, tmp_path: Path) -> None:
    found = parse(f"<annotation>{an_object()}{an_object(' salt &amp; pepper ')}<object id='1'/></annotation>")
    assert (
        class_names_of(str(tmp_path / "a.xml")) == {box.name for box in found.boxes} - {""} == {"cat", "salt & pepper"}
    )
