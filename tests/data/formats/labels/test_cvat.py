"""CVAT's XML, for images and for video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.data.formats.labels.cvat import load_cvat, recognize
from detres.errors import DataError

Write = Callable[..., Path]
BOX = '<box label="cat" occluded="0" xtl="1.00" ytl="2.00" xbr="11.00" ybr="12.00" z_order="0"/>'


def image(inside: str, name: str = "a.png", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="60" height="40"{more}>{inside}</image>'


def annotations(inside: str, meta: str = "") -> str:
    top = "<?xml version='1.0' encoding='utf-8'?>\n<annotations><version>1.1</version>"
    return f"{top}<meta>{meta}</meta>{inside}</annotations>"


@pytest.fixture
def load(tmp_path: Path, write_picture: Write) -> Callable[..., Any]:
    """Load annotations.xml of this text, beside images/a.png of 60 by 40 pixels."""
    write_picture(tmp_path / "images" / "a.png")

    def read(text: str | bytes, split: str = "annotations.xml", **more: Any) -> Any:
        content = text.encode() if isinstance(text, str) else text
        (tmp_path / "annotations.xml").write_bytes(content)
        return load_cvat(tmp_path, split, **more)

    return read


def test_every_shape_with_an_extent_becomes_the_box_around_it(load: Any) -> None:
    images = load(
        annotations(
            image(
                BOX
                + '<box label="turned" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90.00"/>'
                + '<polygon label="cat" points="5.00,6.00;9.00,1.00;7.00,30.50"/>'
                + '<ellipse label="cat" cx="20" cy="20" rx="5" ry="3"/>'
                + '<mask label="cat" rle="3, 5, 100" left="4" top="5" width="6" height="7"/>'
                + '<cuboid label="cat" xtl1="10" ytl1="10" xbl1="10" ybl1="20" xtr1="20" ytr1="10" xbr1="20" ybr1="20"'
                + ' xtl2="14" ytl2="8" xbl2="14" ybl2="18" xtr2="24" ytr2="8" xbr2="24" ybr2="18"/>'
            )
        )
    )
    assert images.boxes.tolist() == [
        [1, 2, 11, 12],
        [15, 5, 25, 25],
        [5, 1, 9, 30.5],
        [15, 17, 25, 23],
        [4, 5, 10, 12],
        [10, 8, 24, 20],
    ]
    assert not images.problems


def test_attributes_that_mean_what_voc_and_coco_mean(load: Any) -> None:
    attribute = '<attribute name="{}">{}</attribute>'
    boxes = [
        BOX.replace("/>", ">").replace("1.00", f"{place}.50", 1) + attribute.format(name, value) + "</box>"
        for place, (name, value) in enumerate(
            [("difficult", "true"), ("truncated", "1"), ("iscrowd", "true"), ("difficult", "false"), ("colour", "true")]
        )
    ]
    images = load(annotations(image("".join(boxes))))
    assert images.ignore.tolist() == [True, False, True, False, False]
    assert images.truncated.tolist() == [False, True, False, False, False]
    assert images.crowd.tolist() == [False, False, True, False, False]


def test_tags_points_and_what_is_malformed_are_told(load: Any) -> None:
    images = load(
        annotations(
            image(
                BOX
                + '<tag label="indoors" source="manual"/><points label="eye" points="1,2"/><points label="eye"/>'
                + '<polyline label="road" points="1,2;3,4"/>'
                + '<skeleton label="man"><points label="hand" points="1,2"/></skeleton>'
                + '<box label="cat" xtl="nan" ytl="2" xbr="11" ybr="12"/><box label="cat"/>'
                + '<box xtl="1" ytl="2" xbr="3" ybr="4"/>'
                + '<polygon label="cat" points="5,6;7"/><polygon label="cat" points=""/>'
                + '<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9" rotation="much"/>'
                + '<box label="cat" xtl="20" ytl="20" xbr="10" ybr="30"/>'
            )
        )
    )
    assert images.boxes.tolist() == [[1, 2, 11, 12]]
    assert images.problem_counts() == {
        "annotation malformed": 6,
        "label of other meaning": 4,
        "box without area": 1,
    }
    assert "annotations.xml: 2 shapes of kind points have no box" in "\n".join(map(str, images.problems))


def test_a_track_is_a_box_on_each_frame_where_it_is_seen(tmp_path: Path, write_picture: Write, load: Any) -> None:
    for number, ending in ((0, "png"), (1, "PNG"), (2, "jpg"), (4, "png")):
        write_picture(tmp_path / "images" / f"{number}.png").rename(
            tmp_path / "images" / f"frame_{number:06d}.{ending}"
        )
    frame = '<box frame="{}" keyframe="{}" outside="{}" occluded="0" xtl="{}" ytl="2" xbr="{}" ybr="12" z_order="0"/>'
    tracks = [
        ("cat", [(0, 1, 0, 1, 11), (1, 0, 0, 2, 12), (2, 1, 1, 3, 13)]),
        ("dog", [(1, 1, 0, 30, 40), (3, 1, 0, 31, 41)]),
    ]
    inside = "".join(
        f'<track id="{number}" label="{label}">{"".join(frame.format(*each) for each in frames)}</track>'
        for number, (label, frames) in enumerate(tracks)
    )
    meta = (
        "<task><size>5</size><mode>interpolation</mode><start_frame>0</start_frame><stop_frame>4</stop_frame>"
        "<original_size><width>60</width><height>40</height></original_size></task>"
    )
    images = load(annotations(inside, meta))
    found = {
        images.file_name(i): [
            (images.class_names[label], box)
            for label, box in zip(images.target(i).labels.tolist(), images.target(i).boxes.tolist(), strict=True)
        ]
        for i in range(len(images))
    }
    assert found == {
        "images/frame_000000.png": [("cat", [1, 2, 11, 12])],
        "images/frame_000001.PNG": [("cat", [2, 2, 12, 12]), ("dog", [30, 2, 40, 12])],
        "images/frame_000002.jpg": [],
        "images/frame_000004.png": [],
    }
    assert images.problem_counts() == {"image missing": 1, "pictures not named": 1}, "frame 3 has a dog, and no picture"


def test_a_video_of_another_size_is_told(load: Any, tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "images" / "frame_000000.png")
    track = '<track label="cat"><box frame="0" outside="0" xtl="1" ytl="2" xbr="11" ybr="12"/></track>'
    meta = "<task><original_size><width>120</width><height>80</height></original_size></task>"
    with pytest.raises(DataError, match="stated 120x80, the file is 60x40"):
        load(annotations(track, meta))


def test_subsets_of_a_project_are_splits(load: Any, tmp_path: Path, write_picture: Write) -> None:
    """Two subsets may have pictures of the same name."""
    for subset in ("Train", "Validation"):
        write_picture(tmp_path / "images" / subset / "b.png")
    boxes = {"Train": BOX, "Validation": BOX.replace("cat", "dog").replace("1.00", "3.00", 1)}
    text = annotations("".join(image(box, "b.png", f' subset="{subset}"') for subset, box in boxes.items()))
    images = load(text, "annotations.xml#Validation", sibling_splits=["annotations.xml#Train"])
    assert images.file_name(0) == "images/Validation/b.png"
    assert images.boxes.tolist() == [[3, 2, 11, 12]]
    assert images.class_names == ("cat", "dog")
    known = recognize(tmp_path)
    assert known is not None
    assert (known.train, known.val, known.test) == (("annotations.xml#Train",), ("annotations.xml#Validation",), ())
    assert len(load(text)) == 2


BOMB = (
    '<!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    f"<annotations>{image(BOX, '&b;')}</annotations>"
)
OUTSIDE = '<!DOCTYPE annotations [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "declares a document type"),
        (OUTSIDE, "declares a document type"),
        (BOMB.encode("utf-16"), "declares a document type"),
        ("<annotation><object/></annotation>", "it is a <annotation>, not <annotations>"),
        ("<annotations>" + "<x>" * 100_000, "it is nested 30 deep"),
        ("<annotations><image", "this is no XML"),
        ("", "this is no XML"),
        (b"\x00\xff\xfe", "this is no XML"),
        ("<?xml version='1.0' encoding='no-such'?><annotations/>", "this is no XML"),
        ("<annotations/>", "names a class"),
        (annotations(image("")), "names a class"),
    ],
)
def test_what_is_no_such_file_is_a_message(load: Any, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(text)


def test_hostile_names_and_numbers_cost_themselves_alone(load: Any) -> None:
    images = load(
        annotations(
            image(BOX)
            + image(BOX, "../../etc/passwd")
            + image(BOX, "/etc/passwd")
            + image(BOX, "images\\a.png")
            + image(BOX, "")
            + f'<image>{BOX}</image><image name="a.png" width="-5" height="1e999"/>'
            + '<track label="cat"><box frame="-1" outside="0" xtl="1" ytl="2" xbr="3" ybr="4"/>'
            + '<box frame="99999999999999999999" outside="0" xtl="1" ytl="2" xbr="3" ybr="4"/>'
            + '<box frame="x"/></track>',
            "<task><size>99999999999</size></task>",
        )
    )
    assert len(images) == 1
    assert images.boxes.tolist() == [[1, 2, 11, 12]]
    counts = images.problem_counts()
    assert counts["name outside the set"] == 2
    assert counts["image name unusable"] == 2
    assert counts["annotation malformed"] == 3
    assert counts["image repeated"] == 2
