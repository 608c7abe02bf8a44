"""--data ARCHIVE."""

import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from detres.data import unpacked as module
from detres.data.data_file import load_classification_file, load_data_file, read_data_file, task_of_data_file
from detres.data.detection.datasets import load_dataset
from detres.data.unpacked import unpacked
from detres.errors import DataError


def pack(file: Path, content: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_archive_is_unpacked_once_and_anew_when_it_changed(tmp_path: Path) -> None:
    file = pack(tmp_path / "set.zip", {"a.txt": "1", "sub/b.txt": "2"})
    place = unpacked(file)
    assert place == tmp_path / "set.zip.unpacked"
    assert (place / "sub" / "b.txt").read_text() == "2"
    (place / "a.txt").write_text("touched by hand")
    assert unpacked(file) == place
    assert (place / "a.txt").read_text() == "touched by hand"
    pack(file, {"c.txt": "three"})
    os.utime(file, ns=(1, 1))
    unpacked(file)
    assert names(place) == [".unpacked_by_detres", "c.txt"]
    assert names(tmp_path) == ["set.zip", "set.zip.unpacked"]


def test_a_tar_is_unpacked_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1")
    for name in ("set.tar", "set.tar.gz"):
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
            archive.add(tmp_path / "a.txt", "in/a.txt")
        assert (unpacked(tmp_path / name) / "in" / "a.txt").read_text() == "1"


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
def test_an_archive_that_leads_out_of_its_folder_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    file = pack(tmp_path / "in" / "set.zip", {"a": "1", name: "2"})
    with pytest.raises(DataError, match=r"set\.zip: .*write outside .*set\.zip\.unpacked;"):
        unpacked(file)
    assert names(tmp_path / "in") == ["set.zip"]
    assert names(tmp_path) == ["in"]


def test_a_bomb_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LITTLE", 1 << 16)
    file = pack(tmp_path / "bomb.zip", {"a.bmp": bytes(1 << 20)})
    with pytest.raises(DataError, match=r"bomb\.zip: it unpacks to more than \d+ bytes"):
        unpacked(file)
    many = pack(tmp_path / "many.zip", {f"{number}": b"" for number in range(200)})
    monkeypatch.setattr(module, "_GROWTH", 1)
    with pytest.raises(DataError, match=r"many\.zip: it unpacks to more"):
        unpacked(many)
    assert names(tmp_path) == ["bomb.zip", "many.zip"]


def test_a_damaged_archive_and_a_foreign_folder_are_refused(tmp_path: Path) -> None:
    file = pack(tmp_path / "set.zip", {"a.txt": "x" * 1000})
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DataError, match=r"set\.zip: cannot be unpacked"):
        unpacked(file)
    pack(file, {"a.txt": "1"})
    (tmp_path / "set.zip.unpacked").mkdir()
    (tmp_path / "set.zip.unpacked" / "mine").touch()
    with pytest.raises(DataError, match="it holds something else"):
        unpacked(file)


def test_where_nothing_may_be_written_it_is_unpacked_below_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pack(tmp_path / "set.zip", {"a.txt": "1"})
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    assert unpacked(file) == tmp_path / "datasets" / "set.zip.unpacked"


def test_a_zip_is_a_set_of_what_it_holds(voc_root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("zips")
    files = {str(path.relative_to(voc_root)): path.read_bytes() for path in voc_root.rglob("*") if path.is_file()}
    file = pack(folder / "birds.zip", {f"birds/{name}": content for name, content in files.items()})
    assert task_of_data_file(file) == "detection"
    data, said, _ = read_data_file(file)
    assert (data.format, data.root) == ("voc", str(folder / "birds.zip.unpacked" / "birds"))
    assert said[0].startswith(f"--data {file}, unpacked to {folder / 'birds.zip.unpacked'}: in birds/, read as voc")
    assert len(load_dataset(load_data_file(file), "train")) == 2


def test_a_zip_of_class_folders_is_one_to_classify(tmp_path: Path, jpeg: Callable[..., bytes]) -> None:
    file = pack(tmp_path / "pets.zip", {f"pets/{name}/1.jpg": jpeg(1) for name in ("cat", "dog")})
    assert task_of_data_file(file) == "classification"
    data = load_classification_file(file)
    assert (data.root, data.train) == (str(tmp_path / "pets.zip.unpacked" / "pets"), (".",))
