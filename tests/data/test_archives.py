import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from detres.data import archives
from detres.data.archives import Archive, refuse_half_unpacked, unpack_archive, unpack_nested, what_is_wrong
from detres.data.prepare import prepare
from detres.errors import DataError


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def train(tmp_path: Path) -> Archive:
    """A tar of tars, as ImageNet's training images come."""
    inner = {f"n{synset}.tar": _tar({f"n{synset}_{i}.JPEG": b"x" * 600 for i in range(3)}) for synset in (1, 2)}
    content = _tar(inner)
    (tmp_path / "train.tar").write_bytes(content)
    digest = hashlib.md5(content).hexdigest()
    return Archive("train.tar", len(content), "http://nowhere.invalid", "train/n2", digest, folder="train", nested=True)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_tar_of_tars_becomes_a_folder_of_each(tmp_path: Path, train: Archive) -> None:
    said: list[str] = []
    prepare([train], tmp_path, tmp_path / "to", say=said.append)
    images = [f"train/n{synset}/n{synset}_{i}.JPEG" for synset in (1, 2) for i in range(3)]
    assert _files(tmp_path / "to") == [".train.tar.unpacked", *images]
    assert said[0] == "train.tar: checking"
    refuse_half_unpacked(tmp_path / "to")


def test_an_interrupted_unpacking_is_told_and_goes_on(
    tmp_path: Path, train: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    one = archives._unpack_one

    def interrupted(target: Path, name: str, *rest: object) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(name)
        one(target, name, *rest)

    monkeypatch.setattr(archives, "_unpack_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack_archive(train, tmp_path / "train.tar", tmp_path / "to")
    with pytest.raises(DataError, match=r"train.tar is half unpacked"):
        refuse_half_unpacked(tmp_path / "to")
    monkeypatch.undo()
    before = (tmp_path / "to" / "train" / "n1" / "n1_0.JPEG").stat().st_mtime_ns
    said: list[str] = []
    prepare([train], tmp_path, tmp_path / "to", say=said.append)
    assert "train.tar: checking" not in said, "it was checked before its unpacking began"
    assert len(_files(tmp_path / "to" / "train")) == 6
    assert (tmp_path / "to" / "train" / "n1" / "n1_0.JPEG").stat().st_mtime_ns == before


def test_a_damaged_archive_is_told_by_its_checksum_unless_that_is_switched_off(tmp_path: Path, train: Archive) -> None:
    content = bytearray((tmp_path / "train.tar").read_bytes())
    content[2000] ^= 1
    (tmp_path / "train.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"train.tar: its MD5 is .*, expected .*; it is damaged"):
        prepare([train], tmp_path, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    assert what_is_wrong(tmp_path / "train.tar", train, checksum=False) is None


def test_an_inner_tar_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(_tar({"n1.tar": _tar({"../../evil": b"x"})}))
    with pytest.raises(DataError, match="outside"):
        unpack_nested(tmp_path / "a.tar", tmp_path / "to" / "train")
    assert not list(tmp_path.rglob("evil"))


def test_a_tar_that_breaks_off_is_named(tmp_path: Path, train: Archive) -> None:
    content = (tmp_path / "train.tar").read_bytes()
    (tmp_path / "train.tar").write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match=r"train.tar: cannot be unpacked"):
        unpack_nested(tmp_path / "train.tar", tmp_path / "to")
