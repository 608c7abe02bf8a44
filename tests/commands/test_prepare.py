"""`detres prepare`: what it unpacks and where, and the scripts of a clone that hand on to it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from detres.data.archives import Archive
from detres.data.prepare import PUBLIC_SETS, PublicSet

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "datasets").glob("prepare_*.py"))

Done = Callable[..., str]


@pytest.fixture
def voc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two archives that stand for VOC's; sets are prepared below tmp_path/sets."""
    archives = []
    for name in ("trainval", "test"):
        content = f"a list of {name}".encode()
        with tarfile.open(tmp_path / f"VOC{name}.tar", "w") as opened:
            member = tarfile.TarInfo(f"VOCdevkit/{name}.txt")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
        file = tmp_path / f"VOC{name}.tar"
        archives.append(Archive(file.name, file.stat().st_size, "http://nowhere.invalid", f"VOCdevkit/{name}.txt"))
    monkeypatch.setitem(PUBLIC_SETS, "voc", PublicSet("voc", tuple(archives)))
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "sets"))
    return tmp_path


def test_a_set_is_unpacked_where_configs_look(voc: Path, done: Done) -> None:
    told = done("prepare", "voc", "--from", voc)
    assert told.endswith(f"ready: {voc / 'sets' / 'voc'}\n")
    assert (voc / "sets" / "voc" / "VOCdevkit" / "trainval.txt").read_text() == "a list of trainval"
    assert done("prepare", "voc", "--from", voc).startswith("VOCtrainval.tar: unpacked already\n")


def test_a_part_of_a_set_may_go_elsewhere(voc: Path, done: Done) -> None:
    done("prepare", "voc", "--only", "test", "--from", voc, "--to", voc / "there")
    assert [file.name for file in (voc / "there" / "VOCdevkit").iterdir()] == ["test.txt"]
    assert not (voc / "sets").exists()


def test_what_is_missing_is_one_message(voc: Path, refused: Done) -> None:
    (voc / "VOCtest.tar").unlink()
    message = refused("prepare", "voc", "--from", voc, kind="DataError")
    assert f"{voc / 'VOCtest.tar'}: missing; it is http://nowhere.invalid" in message
    assert "point --from at their folder, or add --download" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coco", "--mirror", "nonsense"], "--mirror nonsense: not an address; expected one such as https://"),
        (["imagnet"], "imagnet: detres prepares no set of this name; did you mean imagenet?"),
        (["bccd"], "bccd: detres prepares no set of this name; there are coco, coco_2014, voc, imagenet, cifar10"),
        (
            ["cifar10", "--only", "val"],
            "--only val: no archive of this set has that in its name: cifar-10-python.tar.gz",
        ),
    ],
)
def test_a_name_that_stands_for_nothing_is_told(refused: Done, arguments: list[str], message: str) -> None:
    assert message in refused("prepare", *arguments)


def test_the_help_names_every_set(capsys: pytest.CaptureFixture[str], done: Done) -> None:
    with pytest.raises(SystemExit):
        done("prepare", "--help")
    told = capsys.readouterr().out
    for name in PUBLIC_SETS:
        assert f"detres prepare {name} " in told


def test_the_scripts_of_a_clone_are_the_sets() -> None:
    assert {script.stem.removeprefix("prepare_") for script in SCRIPTS} == set(PUBLIC_SETS)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_of_a_clone_is_the_command(
    script: Path, tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    ended = run_python(script, "--from", tmp_path, "--to", tmp_path / "to", PYTHONPATH="")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("DataError: ")
    for archive in PUBLIC_SETS[script.stem.removeprefix("prepare_")].archives:
        assert f"{tmp_path / archive.name}: missing; it is {archive.url}" in ended.stderr
