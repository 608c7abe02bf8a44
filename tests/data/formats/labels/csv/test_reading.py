"""Tables of every order of columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detres.data.formats.labels.csv.class_map import read_class_map
from detres.data.formats.labels.csv.reading import load_csv, recognize
from detres.errors import DataError

Write = Callable[..., Path]


@pytest.fixture
def load(tmp_path: Path, write_picture: Write) -> Callable[..., Any]:
    """Load a table of this text, beside a.png of 60 by 40 pixels."""
    write_picture(tmp_path / "a.png")

    def read(text: str | bytes, split: str = "t.csv", **more: Any) -> Any:
        (tmp_path / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return load_csv(tmp_path, split, **more)

    return read


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.png,60,40,cat,1,2,11,12"),
        ("image,x,y,w,h,label", "a.png,1,2,10,10,cat"),
        ("image_id,xmin,ymin,width,height,class", "a,1,2,10,10,cat"),
        ("image,cx,cy,w,h,class", "a.png,6,7,10,10,cat"),
        ("image_id,width,height,bbox,category", 'a,60,40,"[1.0, 2.0, 10.0, 10.0]",cat'),
        ("image;bbox;category", "a.png;1 2 10 10;cat"),
        ("img_name\tleft\ttop\tright\tbottom\tname", "a.png\t1\t2\t11\t12\tcat"),
        ("image,width,height,bbox_x,bbox_y,bbox_width,bbox_height,class_name", "a.png,60,40,1,2,10,10,cat"),
        ("label,X1,Y1,X2,Y2,File Name", "cat,1,2,11,12,a.png"),
        ("# image,xmin,ymin,xmax,ymax,class", "./a.png , 1 , 2 , 11 , 12 , cat "),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_header_says_what_columns_are(load: Any, header: str, row: str, encoding: str, end: str) -> None:
    images = load(f"{header}{end}{row}{end}{end}".encode(encoding))
    assert images.boxes.tolist() == [[1, 2, 11, 12]]
    assert images.class_names == ("cat",)
    assert not images.problems


def test_a_table_without_classes_has_one(load: Any) -> None:
    assert load('image_id,width,height,bbox,source\na,60,40,"[1, 2, 10, 10]",usask\n').class_names == ("object",)


def test_without_a_header_the_classs_place_tells_the_order(load: Any) -> None:
    for row in ("/x/a.png,1,2,11,12,cat", "a.png,cat,1,2,11,12"):
        assert load(f"{row}\n").boxes.tolist() == [[1, 2, 11, 12]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a.png,30,20,10,8,cat\na.png,31,21,9,7,cat\n",
            "2 of 2 boxes cannot be, such as 30, 20, 10, 8; write",
        ),
        ("a.png,1,2,11,12,3\n", "it has no header, and which column .* is what cannot be told; write one"),
        ("a.png,1,2,11,12,cat,0.9\n", "it has no header, and which column"),
        ("name,price\na.png,3\n", "what its columns are is not told by its first line, 'name,price'"),
        ("", "what its columns are is not told"),
        ("\n\n", "what its columns are is not told"),
        ("image,xmin,ymin,xmax,ymax,class\n", "names a class"),
        (f'image,xmin,ymin,xmax,ymax,class\n"{"x" * 200_000}', "this is no table"),
        (b"image,xmin,ymin,xmax,ymax,class\na.png,1,2,3,4,caf\xe9\n", "no UTF-8 text"),
    ],
)
def test_what_cannot_be_told_is_asked(load: Any, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(text)


def test_a_list_of_classes_gives_order_and_names(load: Any, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("dog,0\ncat,1\n")
    assert load("a.png,1,2,11,12,cat\n").class_names == ("dog", "cat")
    images = load("image,xmin,ymin,xmax,ymax,class_id\na.png,1,2,11,12,1.0\n")
    assert (images.class_names, images.labels.tolist()) == (("dog", "cat"), [1])
    for text in ("dog,0\ncat,0\n", "dog,0\ndog,1\n", "dog\n", "1,2\n", ""):
        (tmp_path / "classes.csv").write_text(text)
        assert read_class_map(tmp_path / "classes.csv") == {}


def test_a_column_makes_splits(load: Any, tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "b.png", seed=1)
    text = "image,xmin,ymin,xmax,ymax,class,split\na.png,1,2,11,12,cat,Train\nb.png,1,2,11,12,dog,valid\n"
    images = load(text, "t.csv#valid", sibling_splits=["t.csv#train"])
    assert (images.file_name(0), len(images), images.class_names) == ("b.png", 1, ("cat", "dog"))
    known = recognize(tmp_path)
    assert known is not None
    assert (known.train, known.val, known.test) == (("t.csv#train",), ("t.csv#valid",), ())
    with pytest.raises(DataError, match="it has no column that says which split"):
        load("a.png,1,2,11,12,cat\n", "t.csv#valid")


def test_automls_corners_in_any_number(load: Any) -> None:
    images = load(
        "TRAIN,gs://b/a.png,cat,0.1,0.25,,,0.6,0.75,,\nTEST,gs://b/a.png,dog,0.1,0.1,0.2,0.1,0.2,0.3,0.1,0.3\n"
        "UNASSIGNED,gs://b/a.png,cow,,,,,,,,\nTRAIN,gs://b/a.png,,,,,,,,,\n"
    )
    np.testing.assert_allclose(images.boxes, [[6, 10, 36, 30], [6, 4, 12, 12]], rtol=1e-6)
    assert images.problem_counts() == {"annotation malformed": 1, "written otherwise": 1}


def test_vias_shapes(load: Any) -> None:
    def row(shape: str, attributes: str = '{"type":"cat"}') -> str:
        quoted = [text.replace('"', '""') for text in (shape, attributes)]
        return f'a.png,1,"{{}}",1,0,"{quoted[0]}","{quoted[1]}"\n'

    header = "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    images = load(
        header
        + row('{"name":"circle","cx":20,"cy":20,"r":5}')
        + row('{"name":"polygon","all_points_x":[1,9,5],"all_points_y":[2,3,8]}', '{"name":"x","class":{"dog":true}}')
        + row('{"name":"ellipse","cx":30,"cy":20,"rx":5,"ry":3,"theta":0}')
        + row('{"name":"point","cx":1,"cy":2}')
        + row('{"name":"rect","x":1}')
        + row('{"name":"rect","x":1,"y":2,"width":3,"height":4}', '{"a":"b","c":"d"}')
        + row('{"name":')
        + row("[" * 1000)
    )
    assert images.boxes.tolist() == [[15, 15, 25, 25], [1, 2, 9, 8], [25, 17, 35, 23]]
    assert images.class_names == ("cat", "dog")
    assert images.problem_counts() == {"annotation malformed": 4, "label of other meaning": 1}


def test_bad_rows_are_told_with_their_lines(load: Any) -> None:
    images = load(
        "image,xmin,ymin,xmax,ymax,class\na.png,1,2,11,12,cat\na.png,1,2,inf,12,cat\na.png,1,2\n,1,2,3,4,cat\n"
        "a.png,1,2,3,4,\n../../etc/passwd,1,2,3,4,cat\na.png,1e999,2,3,4,cat\na.png,11,2,1,12,cat\na.png,90,2,99,9,cat\n"
    )
    assert images.boxes.tolist() == [[1, 2, 11, 12]]
    assert images.problem_counts() == {
        "annotation malformed": 5,
        "name outside the set": 1,
        "box without area": 1,
        "box outside the image": 1,
    }
    assert "t.csv: line 3: its box '1,2,inf,12' is not four finite numbers" in "\n".join(map(str, images.problems))
