"""What `detres prepare` does: check the archives a user has (or fetches), and unpack them where configs look.

Nothing is done twice: a download goes on where it stopped, and a file that is already unpacked is left as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detres.data.archives import Archive, is_half_unpacked, is_unpacked, unpack_archive, what_is_wrong
from detres.errors import ConfigError, DataError
from detres.lookup import nearest

_CHUNK = 1 << 20
_FETCHED = re.compile(r"(?:https?|ftp|file)://\S", re.IGNORECASE)

_VOC = "http://host.robots.ox.ac.uk/pascal/VOC"
VOC_ARCHIVES = (
    Archive(
        "VOCtrainval_06-Nov-2007.tar",
        460032000,
        f"{_VOC}/voc2007/VOCtrainval_06-Nov-2007.tar",
        "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt",
        "c52e279531787c972589f7e41ab4ae64",
    ),
    Archive(
        "VOCtest_06-Nov-2007.tar",
        451020800,
        f"{_VOC}/voc2007/VOCtest_06-Nov-2007.tar",
        "VOCdevkit/VOC2007/ImageSets/Main/test.txt",
        "b6e924de25625d8de591ea690078ad9f",
    ),
    Archive(
        "VOCtrainval_11-May-2012.tar",
        1999639040,
        f"{_VOC}/voc2012/VOCtrainval_11-May-2012.tar",
        "VOCdevkit/VOC2012/ImageSets/Main/trainval.txt",
        "6cd6e144f989b92b3379bac3b3de84fd",
    ),
)

_COCO = "http://images.cocodataset.org"
COCO_ARCHIVES = (
    Archive("train2017.zip", 19336861798, f"{_COCO}/zips/train2017.zip", "train2017/000000000009.jpg"),
    Archive("val2017.zip", 815585330, f"{_COCO}/zips/val2017.zip", "val2017/000000000139.jpg"),
    Archive(
        "annotations_trainval2017.zip",
        252907541,
        f"{_COCO}/annotations/annotations_trainval2017.zip",
        "annotations/instances_val2017.json",
    ),
)

COCO_2014_ARCHIVES = (
    Archive(
        "train2014.zip",
        13510573713,
        f"{_COCO}/zips/train2014.zip",
        "train2014/COCO_train2014_000000000009.jpg",
        "0da8c0bd3d6becc4dcb32757491aca88",
    ),
    Archive(
        "val2014.zip",
        6645013297,
        f"{_COCO}/zips/val2014.zip",
        "val2014/COCO_val2014_000000000042.jpg",
        "a3d79f5ed8d289b7a7554ce06a5782b3",
    ),
    Archive(
        "annotations_trainval2014.zip",
        252872794,
        f"{_COCO}/annotations/annotations_trainval2014.zip",
        "annotations/instances_val2014.json",
        "0a379cfc70b0e71301e0f377548639bd",
    ),
)

_IMAGENET = "https://image-net.org/data/ILSVRC/2012"
IMAGENET_ARCHIVES = (
    Archive(
        "ILSVRC2012_devkit_t12.tar.gz",
        2568145,
        f"{_IMAGENET}/ILSVRC2012_devkit_t12.tar.gz",
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
        "fa75699e90414af021442c21a62c3abf",
    ),
    Archive(
        "ILSVRC2012_img_val.tar",
        6744924160,
        f"{_IMAGENET}/ILSVRC2012_img_val.tar",
        "val/ILSVRC2012_val_00050000.JPEG",
        "29b22e2961454d5413ddabcf34fc5622",
        folder="val",
    ),
    Archive(
        "ILSVRC2012_img_train.tar",
        147897477120,
        f"{_IMAGENET}/ILSVRC2012_img_train.tar",
        "train/n15075141",
        "1d675b47d978889d74fa0da5fadfb00e",
        folder="train",
        nested=True,
    ),
)

CIFAR10_ARCHIVES = (
    Archive(
        "cifar-10-python.tar.gz",
        170498071,
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "cifar-10-batches-py/test_batch",
        "c58f30108f718f92721af3b95e74349a",
    ),
)


@dataclass(frozen=True)
class PublicSet:
    """folder: below the folder of all sets, where configs look for it."""

    folder: str
    archives: tuple[Archive, ...]

    def archives_named(self, parts: Sequence[str] | None) -> list[Archive]:
        """Those whose name contains one of `parts`, or all; ConfigError where a part is in no name."""
        names = [archive.name for archive in self.archives]
        for part in parts or ():
            if not any(part in name for name in names):
                raise ConfigError(f"--only {part}: no archive of this set has that in its name: {', '.join(names)}")
        return [archive for archive in self.archives if not parts or any(part in archive.name for part in parts)]


PUBLIC_SETS: Mapping[str, PublicSet] = {
    "coco": PublicSet("coco", COCO_ARCHIVES),
    "coco_2014": PublicSet("coco", COCO_2014_ARCHIVES),
    "voc": PublicSet("voc", VOC_ARCHIVES),
    "imagenet": PublicSet("imagenet", IMAGENET_ARCHIVES),
    "cifar10": PublicSet("cifar10", CIFAR10_ARCHIVES),
}


def find_public_set(name: str) -> PublicSet:
    """The set of this name; ConfigError with the nearest where there is none."""
    if name in PUBLIC_SETS:
        return PUBLIC_SETS[name]
    close = nearest(name, PUBLIC_SETS)
    mend = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(PUBLIC_SETS)}"
    raise ConfigError(f"{name}: detres prepares no set of this name; {mend}")


def prepare(
    archives: Sequence[Archive],
    source: Path,
    target: Path,
    *,
    download: bool = False,
    mirror: str | None = None,
    checksum: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Unpack every archive in `source` to `target`, fetching what is missing where that is allowed.

    checksum: check it where the publisher states one. Raises DataError that lists every archive that is missing, of the
    wrong size or damaged, before anything is unpacked; ConfigError where the mirror is no address.
    """
    if mirror is not None and not _FETCHED.match(mirror):
        raise ConfigError(f"--mirror {mirror}: not an address; expected one such as https://example.org/archives")
    left = [archive for archive in archives if not is_unpacked(archive, target)]
    for archive in archives:
        if archive not in left:
            say(f"{archive.name}: unpacked already")
    if download or mirror:
        for archive in left:
            url = f"{mirror.rstrip('/')}/{archive.name}" if mirror else archive.url
            if what_is_wrong(source / archive.name, archive, checksum=False):
                say(f"{archive.name}: fetching {url} ({archive.size / 1e9:.2f} GB)")
                fetch(url, source / archive.name)
    wrong: list[str] = []
    for archive in left:
        # What is half unpacked was checked before that began.
        read_all = checksum and archive.md5 is not None and not is_half_unpacked(archive, target)
        if read_all and (source / archive.name).is_file():
            say(f"{archive.name}: checking")
        wrong += filter(None, [what_is_wrong(source / archive.name, archive, checksum=read_all)])
    if wrong:
        raise DataError(
            "\n  ".join([f"{len(wrong)} archives cannot be unpacked:", *wrong])
            + "\nDownload them there, point --from at their folder, or add --download (or --mirror URL)."
        )
    for archive in left:
        say(f"{archive.name}: unpacking to {target / archive.folder}")
        unpack_archive(archive, source / archive.name, target)
    say(f"ready: {target}")


def fetch(url: str, file: Path) -> None:
    """Download to `file`, going on from a part that is there (FILE.part). DataError where the server fails."""
    part = file.with_name(file.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A server that cannot begin in the middle answers 200 and sends everything.
        with (
            urllib.request.urlopen(request, timeout=60) as answer,
            part.open("ab" if answer.status == 206 else "wb") as stream,
        ):
            shutil.copyfileobj(answer, stream, _CHUNK)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing beyond what is there: the part is the whole
            raise DataError(f"{url}: the server answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{url}: {error}; run the same command again to go on from what is there") from None
    os.replace(part, file)
