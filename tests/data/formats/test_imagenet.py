from collections.abc import Callable
from pathlib import Path

import pytest
from torchvision.models import ResNet18_Weights

from detres.data.classification.classified import UNKNOWN
from detres.data.formats.imagenet import load_imagenet
from detres.data.formats.imagenet_classes import imagenet_synsets
from detres.errors import DataError

SEA_SNAKE, TENCH, KIT_FOX = "n01751748", "n01440764", "n02119789"
DEVKIT = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"


@pytest.fixture
def flat(tmp_path: Path) -> Callable[..., Path]:
    """A root with a flat val of as many images as there are labels, as the devkit numbers them."""

    def write(numbers: list[int], folder: str = "val", devkit: str = DEVKIT) -> Path:
        (tmp_path / folder).mkdir(parents=True)
        for number in range(1, len(numbers) + 1):
            (tmp_path / folder / f"ILSVRC2012_val_{number:08d}.JPEG").touch()
        (tmp_path / devkit).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / devkit).write_text("".join(f"{number}\n" for number in numbers))
        return tmp_path

    return write


def _label(images, i: int) -> str:
    return images.class_names[images.labels[i]]


def test_the_table_is_what_published_networks_were_trained_on() -> None:
    synsets = imagenet_synsets()
    assert [synset.wnid for synset in synsets] == sorted({synset.wnid for synset in synsets})
    assert sorted(synset.devkit_id for synset in synsets) == list(range(1, 1001))
    assert [synset.name for synset in synsets] == ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert len({synset.name for synset in synsets}) == 1000
    numbers = {synset.wnid: synset.devkit_id for synset in synsets}
    # The first validation image, a sea snake, has label 490 in the devkit.
    assert (numbers[KIT_FOX], numbers[SEA_SNAKE], numbers[TENCH]) == (1, 490, 449)


def test_a_flat_val_has_the_labels_of_the_devkit(flat: Callable[..., Path]) -> None:
    images = load_imagenet(flat([490, 1, 449]), "val", train=["train"])
    assert len(images.class_names) == 1000
    assert [_label(images, i) for i in range(3)] == ["sea snake", "kit fox", "tench"]
    assert images.labels[2] == 0
    assert images.image_id(0) == "val/ILSVRC2012_val_00000001.JPEG"


@pytest.mark.parametrize(
    "devkit", ["val/ILSVRC2012_validation_ground_truth.txt", "data/ILSVRC2012_validation_ground_truth.txt"]
)
def test_the_devkits_file_may_lie_beside_or_above(flat: Callable[..., Path], devkit: str) -> None:
    assert len(load_imagenet(flat([1, 2], devkit=devkit), "val")) == 2


def test_kaggles_list_is_read_too(tmp_path: Path) -> None:
    place = tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    place.mkdir(parents=True)
    for number in (3, 7):
        (place / f"ILSVRC2012_val_{number:08d}.JPEG").touch()
    lines = ["ImageId,PredictionString", f"ILSVRC2012_val_00000007,{KIT_FOX} 1 2 3 4 {KIT_FOX} 5 6 7 8"]
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join([*lines, f"ILSVRC2012_val_00000003,{TENCH} 1 2 3 4 "]))
    images = load_imagenet(tmp_path, "ILSVRC/Data/CLS-LOC/val")
    assert [_label(images, i) for i in range(2)] == ["tench", "kit fox"]


def test_synset_folders_are_told_by_their_names(tmp_path: Path, write_picture: Callable[..., Path]) -> None:
    for split in ("train", "val"):
        for wnid in (SEA_SNAKE, TENCH):
            write_picture(tmp_path / split / wnid / f"{wnid}_1.png", 8, 8)
    images = load_imagenet(tmp_path, "val", train=["train"])
    assert images.class_names == ("tench", "sea snake")
    chosen = load_imagenet(tmp_path, "val", train=["train"], classes=["sea snake"])
    assert [_label(chosen, i) for i in range(len(chosen))] == ["sea snake"]
    assert load_imagenet(tmp_path, "val", train=["train"], classes=[TENCH]).class_names == ("tench",)


def test_a_flat_val_of_more_classes_than_the_training_folders_is_refused(
    flat: Callable[..., Path], write_picture: Callable[..., Path]
) -> None:
    root = flat([490, 1, 449])
    write_picture(root / "train" / TENCH / "1.png", 8, 8)
    with pytest.raises(DataError, match=r"2 classes of its images have no folder among the training images: n01751748"):
        load_imagenet(root, "val", train=["train"])
    images = load_imagenet(root, "val", train=["train"], classes=["tench"])
    assert (len(images), images.class_names) == (1, ("tench",))


@pytest.mark.parametrize("line", ["0", "1001", "-1", "tench", ""])
def test_a_label_out_of_range_is_told_with_its_line(flat: Callable[..., Path], line: str) -> None:
    root = flat([1, 2, 3])
    (root / DEVKIT).write_text(f"1\n{line}\n3\n")
    with pytest.raises(DataError, match=r"line 2: got .*, expected a class from 1 to 1000"):
        load_imagenet(root, "val")


def test_a_half_unpacked_val_is_refused_but_a_lost_image_is_listed(flat: Callable[..., Path]) -> None:
    root = flat([1 + number % 1000 for number in range(250)])
    (root / "val" / "ILSVRC2012_val_00000005.JPEG").unlink()
    images = load_imagenet(root, "val")
    assert [(problem.kind, problem.file) for problem in images.problems] == [
        ("image missing", "ILSVRC2012_val_00000005")
    ]
    assert len(images) == 249
    for number in range(100, 120):
        (root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG").unlink()
    with pytest.raises(DataError, match=r"229 images, but .* labels 250, 21 of which are not there.*half unpacked"):
        load_imagenet(root, "val")


def test_a_test_set_may_have_no_labels_and_a_val_may_not(flat: Callable[..., Path]) -> None:
    root = flat([1, 2], folder="test")
    images = load_imagenet(root, "test", unlabelled=True)
    assert images.labels.tolist() == [UNKNOWN, UNKNOWN]
    (root / "test").rename(root / "val")
    (root / DEVKIT).unlink()
    with pytest.raises(DataError, match=r"neither ILSVRC2012_validation_ground_truth.txt .* nor LOC_val_solution.csv"):
        load_imagenet(root, "val")


def test_folders_that_are_no_synsets_are_refused(tmp_path: Path, write_picture: Callable[..., Path]) -> None:
    write_picture(tmp_path / "train" / "cat" / "1.png", 8, 8)
    with pytest.raises(DataError, match=r"cat are no synsets of ImageNet's 1000 classes; data.format=folder"):
        load_imagenet(tmp_path, "train", train=["train"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("kaggle", [False, True])
def test_labels_from_windows_lose_no_line(flat: Callable[..., Path], encoding: str, kaggle: bool) -> None:
    root = flat([490, 1])
    (root / "val" / "._ILSVRC2012_val_00000001.JPEG").touch()
    text = "490\r\n1\r\n"
    if kaggle:
        rows = [f"ILSVRC2012_val_0000000{i},{wnid} 1 2 3 4" for i, wnid in ((1, SEA_SNAKE), (2, KIT_FOX))]
        text = "\r\n".join(["ImageId,PredictionString", *rows, ""])
    (root / ("LOC_val_solution.csv" if kaggle else DEVKIT)).write_bytes(text.encode(encoding))
    images = load_imagenet(root, "val")
    assert ([_label(images, i) for i in range(2)], images.problems) == (["sea snake", "kit fox"], ())


def test_labels_in_a_code_page_or_of_no_digits_are_named(flat: Callable[..., Path]) -> None:
    root = flat([490, 1])
    (root / DEVKIT).write_bytes(b"490\n\xe9\n")
    with pytest.raises(DataError, match=r"ground_truth\.txt: line 2 is no UTF-8 text"):
        load_imagenet(root, "val")
    (root / DEVKIT).write_text("490\n²\n")
    with pytest.raises(DataError, match=r"ground_truth\.txt: line 2: got '²'"):
        load_imagenet(root, "val")
