import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.errors import ConfigError, DataError
from detres.own_code import call_own, find_own, find_own_function, own_failed


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module of a user's; returns its name, new each time."""
    monkeypatch.syspath_prepend(tmp_path)
    written: list[str] = []

    def write(text: str) -> str:
        written.append(f"owned_{tmp_path.name}_{len(written)}")
        (tmp_path / f"{written[-1]}.py").write_text(text)
        return written[-1]

    return write


def test_what_is_named_is_found_and_called(own: Callable[[str], str]) -> None:
    found = find_own(f"{own('def twice(x, plus=0): return 2 * x + plus')}:twice", "key")
    assert call_own(found, "key: it", 3, plus=1) == 7


@pytest.mark.parametrize("name", ["no_such_module:f", "math:nothing"])
def test_what_cannot_be_imported_is_told_with_its_key(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^some.key {name} cannot be imported: .*; module:callable names"):
        find_own(name, "some.key")


def test_what_raises_is_told_with_its_file_and_line(own: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match=r"^key \S+: to import it raised ZeroDivisionError: .*\.py:2\); mend it"):
        find_own(own("x = 1\nx / 0") + ":x", "key")
    broken = find_own(own("def broken():\n    return 1 / 0") + ":broken", "key")
    with pytest.raises(ConfigError, match=r"^key: called, it raised ZeroDivisionError: .*\.py:2\); mend it"):
        call_own(broken, "key: called, it")


def test_what_is_no_function_is_told_as_such(own: Callable[[str], str]) -> None:
    name = own("x = 3") + ":x"
    assert find_own(name, "key") == 3
    with pytest.raises(ConfigError, match=rf"^key {name} is an int, expected a function or a class; name another$"):
        find_own_function(name, "key")
    assert find_own_function("math:sqrt", "key")(9) == 3


def test_what_ours_says_by_way_of_it_and_too_little_memory_stay_as_they_are() -> None:
    for error in (DataError("ours"), MemoryError()):
        with pytest.raises(type(error)):
            own_failed(error, "key")


def test_a_module_of_the_current_folder_is_found_and_hides_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.chdir(tmp_path)
    name = f"beside_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("def three(): return 3")
    (tmp_path / "torch.py").write_text("raise ValueError")
    assert find_own(f"{name}:three", "key")() == 3
    assert sys.path[-1] == str(tmp_path)
    with pytest.raises(ConfigError, match="from the current folder, from those of PYTHONPATH, or installed"):
        find_own("beside_nothing:f", "key")
