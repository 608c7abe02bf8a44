from dataclasses import replace
from pathlib import Path

import pytest

from detres.data.formats.format import Format, find_format
from detres.errors import ConfigError
from detres.tables import DETECTION_FORMATS


def test_a_reader_gets_the_keys_it_heeds_and_makes_what_the_task_reads(tmp_path: Path) -> None:
    def load(root: Path, split: str, *, classes: tuple[str, ...] | None = None) -> list[object]:
        return [root, split, classes]

    chosen = Format(load)
    assert chosen.heeds("classes")
    assert not chosen.heeds("exif")
    keys = {"classes": ("a",), "exif": True}
    assert chosen.read(tmp_path, "train", keys, list) == [tmp_path, "train", ("a",)]
    with pytest.raises(ConfigError, match=r"^data\.format: its reader made a list, expected dict$"):
        chosen.read(tmp_path, "train", keys, dict)


def test_a_function_may_be_given_as_its_place() -> None:
    chosen = Format("os.path:join", has_split="os.path:isabs")
    assert chosen.read(Path("a"), "b", {}, str) == "a/b"


def test_a_format_of_ones_own_is_a_format_or_a_function() -> None:
    voc = DETECTION_FORMATS["voc"]
    named = find_format(DETECTION_FORMATS, "detres.data.formats.voc:VOC")
    assert replace(named, load=voc.load, has_split=voc.has_split) == voc
    assert (named.heeds("strict"), named.heeds("lr")) == (voc.heeds("strict"), False) == (True, False)
    with pytest.raises(ConfigError, match=r"^data\.format math:pi: it is a float, expected a Format or a function"):
        find_format(DETECTION_FORMATS, "math:pi")
    broken = find_format(DETECTION_FORMATS, "math:sqrt")
    with pytest.raises(ConfigError, match=r"^data\.format math:sqrt: it raised TypeError"):
        broken.read(Path("a"), "b", {}, float)


def fails(root: Path, split: str, *, exif: bool = True) -> list[str]:
    raise KeyError("a field")


FAILING = Format(fails, has_split=lambda root, split: bool(1 / 0))


def test_what_a_format_of_ones_own_raises_is_told_with_its_name() -> None:
    failing = find_format(DETECTION_FORMATS, f"{__name__}:FAILING")
    assert failing.heeds("exif")
    with pytest.raises(ConfigError, match=r"^data\.format \S+:FAILING: it raised KeyError: 'a field' \(.*\.py:\d+\)"):
        failing.read(Path("a"), "b", {}, list)
    with pytest.raises(ConfigError, match=r"^data\.format \S+:FAILING: it raised ZeroDivisionError"):
        failing.absent(Path("a"), ["b"])
    assert find_format(DETECTION_FORMATS, f"{__name__}:PLACED").read(Path("a"), "b", {}, str) == "a/b"


PLACED = Format("os.path:join")
