import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.data_file import load_classification_file, load_data_file, read_classification_file
from detres.data.detection.datasets import load_dataset, load_split
from detres.data.formats.voc.reading import load_voc
from detres.errors import ConfigError, DataError, UserError


def test_our_yaml_takes_one_split_or_a_list(voc_root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = voc_root.parent / f"{voc_root.name}.yaml"
    file.write_text(f"format: voc\nroot: {voc_root.name}\ntrain: train\ntest: [test]\nval:\nclasses: [dog, cat]\n")
    config = load_data_file(file)
    assert (config.train, config.val, config.test) == (("train",), (), ("test",))
    dataset = load_dataset(config, "train")
    assert dataset.class_names == ("dog", "cat")
    assert len(dataset.boxes) == len(load_voc(voc_root, "train").boxes)


def test_a_root_is_looked_for_beside_its_file_and_then_where_sets_are(
    voc_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "yamls"
    folder.mkdir()
    (folder / "d.yaml").write_text(f"format: voc\nroot: {voc_root.name}\ntrain: train\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=str(folder / voc_root.name)):
        load_dataset(load_data_file(folder / "d.yaml"), "train")
    monkeypatch.chdir(voc_root.parent)
    assert len(load_dataset(load_data_file(folder / "d.yaml"), "train")) > 0


def test_wrong_keys_are_all_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("formt: voc\nroot: .\nval_fraction: 2\n")
    with pytest.raises(ConfigError) as caught:
        load_data_file(tmp_path / "d.yaml")
    assert "formt is unknown; did you mean format? (line 1)" in str(caught.value)
    assert "val_fraction" in str(caught.value)


def test_an_ultralytics_yaml_works_as_it_is(tmp_path: Path, write_picture) -> None:
    for split in ("train", "val"):
        write_picture(tmp_path / "set" / "images" / split / f"{split}.png")
        (tmp_path / "set" / "labels" / split).mkdir(parents=True)
        (tmp_path / "set" / "labels" / split / f"{split}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "mine.yaml").write_text(
        "path: set\ntrain: images/train\nval: [images/val]\ntest:\nnames:\n  0: cat\n  1: dog\nnc: 2\n"
    )
    config = load_data_file(tmp_path / "mine.yaml")
    assert config.format == "yolo"
    assert config.test == ()
    for split in ("train", "val"):
        dataset = load_dataset(config, split)
        assert (len(dataset), dataset.class_names, dataset.labels.tolist()) == (1, ("cat", "dog"), [1])


def test_roboflows_paths_beside_the_yaml_are_found(tmp_path: Path, write_picture) -> None:
    write_picture(tmp_path / "train" / "images" / "a.png")
    (tmp_path / "train" / "labels").mkdir()
    (tmp_path / "train" / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['cat']\n")
    assert len(load_dataset(load_data_file(tmp_path), "train")) == 1


def test_a_roboflow_coco_export_works_by_its_folder_or_a_file(tmp_path: Path, write_picture) -> None:
    for split in ("train", "valid"):
        write_picture(tmp_path / split / "a.png")
        content = {
            "images": [{"id": 0, "file_name": "a.png", "height": 40, "width": 60}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}],
            "categories": [
                {"id": 0, "name": "cells", "supercategory": "none"},
                {"id": 1, "name": "RBC", "supercategory": "cells"},
            ],
        }
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content))
    for given in (tmp_path, tmp_path / "train" / "_annotations.coco.json"):
        config = load_data_file(given)
        assert config.test == ()
        dataset = load_dataset(config, "val")
        assert dataset.class_names == ("RBC",)
        assert dataset.problem_counts() == {"empty supercategory": 1}
        assert load_dataset(config.model_copy(update={"strict": True}), "train").boxes.tolist() == [[1, 2, 4, 6]]


def test_what_cannot_be_used_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_data_file(tmp_path / "none.yaml")
    with pytest.raises(DataError, match=r"a folder needs a data\.yaml"):
        load_data_file(tmp_path)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match="format: coco"):
        load_data_file(tmp_path / "a.json")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="expected keys"):
        load_data_file(tmp_path / "list.yaml")


# Classification.


def write_classes(root: Path, *splits: str, write_picture) -> Path:
    for split in splits:
        for name in ("cat", "dog"):
            write_picture(root / split / name / "1.png")
    return root


def test_a_folder_of_class_folders_is_a_set_with_a_tenth_set_apart(tmp_path: Path, write_picture) -> None:
    data = load_classification_file(write_classes(tmp_path, ".", write_picture=write_picture))
    assert (data.format, data.root) == ("folder", str(tmp_path))
    assert (data.train, data.val, data.test, data.val_fraction) == ((".",), (), (), 0.1)


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_class_folders_in_splits_are_found_by_their_usual_names(tmp_path: Path, val: str, write_picture) -> None:
    data = load_classification_file(write_classes(tmp_path, "train", val, "test", write_picture=write_picture))
    assert (data.train, data.val, data.test, data.val_fraction) == (("train",), (val,), ("test",), 0.0)


def test_what_class_folders_are_read_as_is_said(tmp_path: Path, write_picture) -> None:
    write_classes(tmp_path / "a", ".", write_picture=write_picture)
    write_classes(tmp_path / "b", "train", "valid", write_picture=write_picture)
    assert read_classification_file(tmp_path / "a").said == (
        f"--data {tmp_path / 'a'}: read as folder (2 class folders in it); train: ., val: 0.1 of it, set apart",
    )
    assert read_classification_file(tmp_path / "b").said == (
        f"--data {tmp_path / 'b'}: read as folder (2 class folders in train); train: train, val: valid",
    )
    (tmp_path / "mine.yaml").write_text("format: folder\nroot: a\n")
    assert read_classification_file(tmp_path / "mine.yaml").said == (), "it says so itself"


def test_a_classification_yaml_means_the_usual_splits_unless_it_names_some(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("format: imagenet\nroot: .\n")
    data = load_classification_file(file)
    assert (data.train, data.val, data.test, data.root) == (("train",), ("val",), (), str(tmp_path))
    file.write_text("format: folder\nroot: .\nval_fraction: 0.2\n")
    assert (load_classification_file(file).train, load_classification_file(file).val) == (("train",), ())


def test_what_is_no_classification_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a set is a folder a class"):
        load_classification_file(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load_classification_file(tmp_path / "absent")
    (tmp_path / "d.yaml").write_text("format: imagenet\ncrops: 3\n")
    with pytest.raises(ConfigError, match=r"crops is unknown; did you mean crop"):
        load_classification_file(tmp_path / "d.yaml")


# Paths.


def test_links_stay_links(tmp_path: Path, write_picture) -> None:
    """Labels are looked for beside the link to the images, and a yaml's folder is that of the link to it."""
    write_picture(tmp_path / "store" / "pool" / "a.png")
    (tmp_path / "store" / "given.yaml").write_text("train: images/train\nval: ../set/images/train\nnames: [cat]\n")
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "images" / "train").symlink_to("../../store/pool")
    (tmp_path / "set" / "data.yaml").symlink_to("../store/given.yaml")
    (tmp_path / "set" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "set" / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "again").symlink_to("set")
    for given in ("set", "set/data.yaml", "again/data.yaml"):
        data = load_data_file(tmp_path / given)
        assert data.train[0] == str(tmp_path / Path(given).parts[0] / "images" / "train")
        assert [len(load_dataset(data, split).boxes) for split in ("train", "val")] == [1, 1]


def test_the_root_of_a_yaml_of_ours_keeps_its_links(voc_root: Path) -> None:
    (voc_root.parent / f"{voc_root.name}_linked").symlink_to(voc_root)
    file = voc_root.parent / f"{voc_root.name}.yaml"
    file.write_text(f"format: voc\nroot: {voc_root.name}_linked\ntrain: train\n")
    assert load_data_file(file).root == f"{voc_root}_linked"
    assert len(load_dataset(load_data_file(file), "train").boxes) == 2


@pytest.mark.parametrize(
    "line", ["train: 3", "train: {a: b}", "train: [1]", "train: [[images]]", "path: 3\ntrain: a", "path: [b]\ntrain: a"]
)
def test_what_is_no_name_of_a_place_is_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "data.yaml").write_text(f"names: [cat]\n{line}\n")
    with pytest.raises(DataError, match="expected the name of a folder or of a list of files"):
        load_data_file(tmp_path / "data.yaml")


@pytest.mark.parametrize("name", ["x" * 5000, "a\\0b", "/" + "x/" * 3000, "~nobody/x", ""])
@pytest.mark.parametrize("own", [False, True])
def test_names_that_no_file_can_have_are_plain_errors(tmp_path: Path, name: str, own: bool) -> None:
    kind = "format: yolo\nroot: .\n" if own else "names: [cat]\n"
    (tmp_path / "data.yaml").write_text(f'{kind}train: "{name}"\n')
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(UserError):
        load_dataset(load_data_file(tmp_path / "data.yaml"), "train")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_yamls_of_any_editor_are_read(voc_root: Path, encoding: str) -> None:
    (voc_root / "own.yaml").write_bytes("format: voc\r\nroot: .\r\ntrain: train\r\n".encode(encoding))
    assert load_data_file(voc_root / "own.yaml").train == ("train",)


def test_hidden_folders_are_no_classes(tmp_path: Path, write_picture) -> None:
    write_picture(tmp_path / ".ipynb_checkpoints" / "a.png")
    write_picture(tmp_path / "__MACOSX" / "a.png")
    with pytest.raises(DataError, match="no folders with images"):
        load_classification_file(tmp_path)


@pytest.mark.parametrize("line", ["train: .inf", "train: {a: b}", "train: [1]", "train: https://h/x", 'path: "\\0"'])
def test_a_split_of_others_that_is_no_place_is_refused(tmp_path, line):
    file = tmp_path / "data.yaml"
    file.write_text(f"names: [a]\nval: images\n{line}\n")
    with pytest.raises(UserError, match=r"data.yaml: (train|path): "):
        load_data_file(file)


def test_a_bomb_and_code_in_a_data_file_are_refused_with_their_lines(tmp_path):
    file = tmp_path / "own.yaml"
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    file.write_text("format: yolo\na0: &a0 [x]\n" + levels)
    with pytest.raises(UserError, match=r"own.yaml: .*with its aliases.*\(line \d+\)"):
        load_data_file(file)
    file.write_text("format: coco\nroot: .\ntrain: a.json\naugment: [{'os:system': {command: x}}]\n")
    with pytest.raises(ConfigError, match=r"own.yaml: data.augment names code to run \(os:system\).*\(line 4\)"):
        load_data_file(file)


# Which folder the splits of a data.yaml are below.


@pytest.fixture
def write_split(write_picture) -> Callable[..., None]:
    def write(root: Path, *splits: str) -> None:
        for split in splits:
            write_picture(root / split / f"{root.name}.png")

    return write


def splits_of(file: Path, content: str) -> list[str]:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"names: [cat]\n{content}")
    data = load_data_file(file)
    return [*data.train, *data.val]


@pytest.mark.parametrize("elsewhere", [["val"], ["train", "val"]])
@pytest.mark.parametrize(("stated", "base"), [("", "set"), ("path: own\n", "set/own")])
def test_a_split_that_is_not_beside_the_yaml_is_taken_from_nowhere_else(
    tmp_path: Path, write_split, monkeypatch: pytest.MonkeyPatch, stated: str, base: str, elsewhere: list[str]
) -> None:
    write_split(tmp_path / base, "train")
    for other in ("cwd", "datasets"):
        write_split(tmp_path / other, *elsewhere)
        write_split(tmp_path / other / "own", *elsewhere)
    (tmp_path / "cwd").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "datasets"))
    found = splits_of(tmp_path / "set" / "data.yaml", f"{stated}train: train\nval: val\n")
    assert found == [str(tmp_path / base / split) for split in ("train", "val")]
    with pytest.raises(DataError, match=str(tmp_path / base / "val")):
        load_dataset(load_data_file(tmp_path / "set" / "data.yaml"), "val")


def test_where_nothing_is_beside_the_yaml_the_place_with_most_of_its_splits_is_meant(
    tmp_path: Path, write_split, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_split(tmp_path / "cwd", "train")
    write_split(tmp_path / "datasets", "train", "val")
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "datasets"))
    found = splits_of(tmp_path / "set" / "data.yaml", "train: train\nval: [val]\n")
    assert found == [str(tmp_path / "datasets" / split) for split in ("train", "val")]
    found = splits_of(tmp_path / "set" / "data.yaml", f"train: train\nval: {tmp_path}/datasets/val\n")
    assert found == [str(tmp_path / "cwd" / "train"), str(tmp_path / "datasets" / "val")]


def test_roboflows_splits_are_all_beside_the_yaml_or_none(tmp_path: Path, write_split) -> None:
    write_split(tmp_path / "set", "train/images", "valid/images")
    write_split(tmp_path, "valid/images")
    found = splits_of(tmp_path / "set" / "data.yaml", "train: ../train/images\nval: ../valid/images\n")
    assert found == [str(tmp_path / "set" / split / "images") for split in ("train", "valid")]


def test_a_set_that_was_moved_is_beside_its_yaml(tmp_path: Path, write_split) -> None:
    write_split(tmp_path / "set", "train")
    found = splits_of(tmp_path / "set" / "data.yaml", "path: /content/set\ntrain: train\nval: val\n")
    assert found == [str(tmp_path / "set" / split) for split in ("train", "val")]


# Names as Windows writes them.


@pytest.mark.parametrize("content", ["names: [cat]\npath: ..\\set\n", "format: yolo\nroot: ..\\set\n"])
def test_backslashes_in_the_names_of_splits_are_slashes(tmp_path: Path, write_split, content: str) -> None:
    root = tmp_path / "set"
    write_split(root, "images/train", "images/val")
    (root / "classes.txt").write_text("cat\n")
    (root / "data.yaml").write_text(f"{content}train: images\\train\nval: [images\\val]\n")
    data = load_data_file(root / "data.yaml")
    assert [load_split(data, split).file_name(0) for split in ("train", "val")] == [
        f"images/{split}/set.png" for split in ("train", "val")
    ]
    write_split(root, "images\\val")
    assert load_dataset(load_data_file(root / "data.yaml"), "val").file_name(0) == "images\\val/set.png"


def test_backslashes_are_slashes_in_the_splits_of_every_format(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("format: coco\nroot: .\ntrain: annotations\\a.json:images\\a\n")
    assert load_data_file(file).train == ("annotations/a.json:images/a",)
    file.write_text("format: voc\nroot: .\ntrain: 2007\\trainval\n")
    assert load_data_file(file).train == ("2007/trainval",)
    file.write_text("format: folder\nroot: .\ntrain: sets\\train\n")
    assert load_classification_file(file).train == ("sets/train",)
    file.write_text("format: webdataset\nroot: .\ntrain: shards\\{00..12}.tar\n")
    assert load_classification_file(file).train == ("shards/{00..12}.tar",)
