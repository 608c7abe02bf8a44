import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from detres.data.classification.classified import breaks_off
from detres.data.formats.tar_shards import expand_shards, load_shards, read_class_names
from detres.errors import DataError

WriteShard = Callable[[Path, Mapping[str, bytes]], Path]


@pytest.fixture
def shards(tmp_path: Path, write_shard: WriteShard, jpeg: Callable[[int], bytes]) -> Path:
    """Two shards of three images; labels as text in one, as JSON in the other, and files to pass over."""
    for shard in range(2):
        files: dict[str, bytes] = {"__meta__/a.json": b"{}"}
        for i in range(3):
            number = 3 * shard + i
            stem = f"a/k{number}"
            label = {"cls": b"%d\n" % (number % 2)} if shard == 0 else {"json": b'{"label": %d}' % (number % 2)}
            files |= {f"{stem}.JPG": jpeg(number), f"{stem}.txt": b"a caption"}
            files |= {f"{stem}.{ending}": content for ending, content in label.items()}
        write_shard(tmp_path / f"val-{shard}.tar", files)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    return tmp_path


def test_images_are_read_from_their_places_in_the_tars(shards: Path, jpeg: Callable[[int], bytes]) -> None:
    images = load_shards(shards, "val-{0..1}.tar")
    assert images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert images.image_id(4) == "val-1.tar/a/k4.jpg"
    assert images.path(4) == shards / "val-1.tar"
    assert [images.encoded(i) for i in range(6)] == [jpeg(i) for i in range(6)]
    decoded = cv2.imdecode(np.frombuffer(jpeg(5), np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(images.subset([5]).read(0), decoded)
    assert not breaks_off(images.encoded(0))


def test_classes_are_selected_or_named_by_the_config(shards: Path) -> None:
    assert load_shards(shards, "val-0.tar", classes=["dog"]).labels.tolist() == [0]
    (shards / "classes.txt").unlink()
    assert load_shards(shards, "val-0.tar", classes=["a", "b"]).class_names == ("a", "b")
    with pytest.raises(DataError, match=r"classes.txt: tar files do not say what their labels are called"):
        load_shards(shards, "val-0.tar")


def test_imagenets_own_table_may_name_the_classes(shards: Path) -> None:
    (shards / "classes.txt").write_text("n01440764 449 tench\nn01484850 442 great white shark\n")
    assert load_shards(shards, "val-0.tar").class_names == ("tench", "great white shark")


def test_pipes_and_addresses_are_expanded_and_told_apart_from_files(shards: Path) -> None:
    assert expand_shards(shards, "pipe:cat /x/{00..02}.tar")[1] == "pipe:cat /x/01.tar"
    assert expand_shards(shards, "https://x.invalid/{a,b}.tar") == [
        "https://x.invalid/a.tar",
        "https://x.invalid/b.tar",
    ]
    with pytest.raises(DataError, match=r"1 of 3 shards are not there, the first is .*val-2.tar"):
        expand_shards(shards, "val-{0..2}.tar")
    with pytest.raises(DataError, match="can be streamed for training, but nowhere else"):
        load_shards(shards, f"pipe:cat {shards}/val-0.tar")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"k.cls": b"1"}, "k: it has cls, expected one image such as jpg"),
        ({"k.jpg": b"", "k.png": b"", "k.cls": b"1"}, "expected one image"),
        ({"k.jpg": b""}, "k: got label None"),
        ({"k.jpg": b"", "k.cls": b"cat"}, "k: got label 'cat', expected a number"),
        ({"k.jpg": b"", "k.cls": b"-1"}, "got label '-1'"),
        ({"k.jpg": b"", "k.cls": b"2"}, r"k: label 2 is out of range, there are 2 classes \(from 0\)"),
        ({"k.jpg": b"", "k.json": b"{"}, "k.json: cannot be read"),
        ({"k.jpg": b"", "k.json": json.dumps({"label": "cat"}).encode()}, "got label 'cat'"),
        ({"k.txt": b"a caption"}, "no image in these shards"),
    ],
)
def test_a_sample_that_is_wrong_is_named(
    shards: Path, write_shard: WriteShard, files: Mapping[str, bytes], said: str
) -> None:
    write_shard(shards / "bad.tar", files)
    with pytest.raises(DataError, match=said):
        load_shards(shards, "bad.tar")


def test_a_shard_that_breaks_off_or_is_compressed_is_named(shards: Path) -> None:
    content = (shards / "val-0.tar").read_bytes()
    (shards / "val-0.tar").write_bytes(content[:1000])
    with pytest.raises(DataError, match=r"val-0.tar: no whole, uncompressed tar file"):
        load_shards(shards, "val-{0..1}.tar")
    with tarfile.open(shards / "val-1.tar") as opened:
        between = opened.getmember("a/k4.JPG").offset
    (shards / "val-1.tar").write_bytes((shards / "val-1.tar").read_bytes()[:between])
    with pytest.raises(DataError, match=r"val-1.tar: .*it breaks off"):
        load_shards(shards, "val-1.tar")
    with tarfile.open(shards / "val-0.tar", "w:gz") as opened:
        opened.addfile(tarfile.TarInfo("k.jpg"), io.BytesIO())
    with pytest.raises(DataError, match=r"val-0.tar: no whole, uncompressed tar file"):
        load_shards(shards, "val-0.tar")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_classes_of_shards_from_any_editor(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "classes.txt").write_bytes("cat\r\n狗 \r\n".encode(encoding))
    assert read_class_names(tmp_path, None) == ("cat", "狗")
