"""The proposals an R-CNN learns from: the best boxes of each training image's own class, made once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detres.backbones.weights.files import write_tensors
from detres.checkpoints.reading import read_safetensors
from detres.config.localization_schema import LocalizationConfig
from detres.data.classification.views import ViewDataset, view_loader
from detres.data.localization.loaders import ProposalCropping
from detres.data.localization.localized import LocalizedImages
from detres.data.packing import offsets_of
from detres.distributed import barrier, broadcast_from_main, is_main, rank, world_size
from detres.localization.testing import Finder
from detres.reporter import Reporter
from detres.tasks.runs.evaluation_places import default_place, file_digest
from detres.tasks.runs.sharing import test_share


@dataclass(frozen=True)
class SetProposals:
    """Boxes of I images. boxes: (P, 4) float32; image i's are the rows offsets[i]:offsets[i + 1], one at least."""

    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]

    def of(self, i: int) -> NDArray[np.float32]:
        return self.boxes[self.offsets[i] : self.offsets[i + 1]]


@dataclass(frozen=True)
class CroppingOfProposals:
    """A crop of an image is one of its proposals."""

    side: int
    proposals: SetProposals

    def __call__(self, index: int) -> ProposalCropping:
        return ProposalCropping(self.side, self.proposals.of(index))


def training_proposals(
    finder: Finder,
    rpn_file: Path,
    config: LocalizationConfig,
    images: LocalizedImages,
    device: torch.device,
    reporter: Reporter,
) -> SetProposals:
    """Those of all training images; where they are not kept beside the RPN's weights, ranks share the making.

    rpn_file: the RPN's weights, whose run keeps them in proposals/, under a name that changes with all they depend on.
    """
    test = config.test.model_dump_json(include={"crops", "scales", "proposals", "nms"})
    state = hashlib.blake2b(f"{images.digest()} {file_digest(rpn_file)} {test}".encode(), digest_size=8)
    kept = default_place(rpn_file) / "proposals" / f"{images.name.replace('/', '-')}-{state.hexdigest()}.safetensors"

    if not broadcast_from_main(kept.is_file()):
        reporter.say(f"proposals: {config.test.proposals} of each of {len(images)} images are made by {rpn_file}")
        _write_part(_part(kept, rank()), _made(finder, config, images, device))
        barrier()
        if is_main():
            _join([_part(kept, number) for number in range(world_size())], len(images), kept)
        barrier()
    tensors, _ = read_safetensors(kept)
    found = SetProposals(tensors["offsets"].numpy(), tensors["boxes"].numpy())
    reporter.say(f"proposals: {len(found.boxes)} on {len(images)} images, in {kept}")
    return found


def _part(kept: Path, rank: int) -> Path:
    return kept.with_name(f"{kept.stem}.{rank}.part.safetensors")


def _write_part(file: Path, found: dict[int, NDArray[np.float32]]) -> None:
    """Boxes by their image's place in the set."""
    offsets = offsets_of(np.array([len(boxes) for boxes in found.values()], np.int64))
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *found.values()])
    tensors = {"images": np.array(list(found), np.int64), "offsets": offsets, "boxes": boxes}
    write_tensors(file, {name: torch.from_numpy(value) for name, value in tensors.items()}, {})


def _join(parts: Sequence[Path], count: int, kept: Path) -> None:
    """Write what the ranks made as one file, in the set's order, and take their parts away.

    An image that could not be read has one proposal, the first pixel; training meets it as a grey one.
    """
    found = [np.array([[0, 0, 1, 1]], np.float32)] * count
    for part in parts:
        tensors, _ = read_safetensors(part)
        made = SetProposals(tensors["offsets"].numpy(), tensors["boxes"].numpy())
        for row, image in enumerate(tensors["images"].tolist()):
            found[image] = made.of(row)
    offsets = offsets_of(np.array([len(boxes) for boxes in found]))
    write_tensors(kept, {"boxes": torch.from_numpy(np.concatenate(found)), "offsets": torch.from_numpy(offsets)}, {})
    for part in parts:
        part.unlink()


def _made(
    finder: Finder, config: LocalizationConfig, images: LocalizedImages, device: torch.device
) -> dict[int, NDArray[np.float32]]:
    """Of the images of this rank's share that can be read, by their places."""
    dataset = ViewDataset(images, finder.plans[:1], strict=bool(config.data.strict))
    loader = view_loader(dataset, test_share(config), workers=config.data.workers, pin_memory=device.type == "cuda")
    places = {images.image_id(i): i for i in range(len(images))}
    found: dict[int, NDArray[np.float32]] = {}
    for batch in loader:
        if not len(batch):
            continue
        indices = [places[image_id] for image_id in batch.image_ids]
        classes = torch.from_numpy(images.labels[indices])[:, None]
        proposed = finder.propose(batch, classes, device, count=finder.count)
        for index, (of_class,) in zip(indices, proposed, strict=True):
            found[index] = of_class.boxes.float().numpy()
    return found
