from pathlib import Path

import pytest

from detres.data.inside import absolute, below


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", "a"),
        ("./b/../a", "a"),
        ("b//a", "b/a"),
        ("..", None),
        ("../a", None),
        ("b/../../a", None),
        ("", None),
        (".", None),
        ("/etc/passwd", None),
        ("/set", None),
        ("/set/b/a", "b/a"),
        ("/set/../a", None),
        ("/settle/a", None),
        ("..a/b", "..a/b"),
    ],
)
def test_a_name_stays_below_its_folder_or_is_none(name: str, expected: str | None) -> None:
    assert below(name, Path("/set")) == expected


def test_below_the_root_of_all_is_everything() -> None:
    assert below("/etc/passwd", Path("/")) == "etc/passwd"


def test_an_absolute_path_keeps_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store" / "pool").mkdir(parents=True)
    (tmp_path / "images").symlink_to("store/pool")
    monkeypatch.chdir(tmp_path)
    assert absolute(Path("images")) == str(tmp_path / "images")
    assert absolute(Path("store/../images")) == str(tmp_path / "images")
    # Behind a link, .. is the target's parent, not the link's.
    assert Path(absolute(Path("images/../pool"))).samefile(tmp_path / "store" / "pool")
    assert absolute(Path("absent")) == str(tmp_path / "absent")
