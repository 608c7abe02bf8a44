"""The proposals an R-CNN learns from: the best boxes of each training image's own class, made once and kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detres.backbones.weights.files import write_tensors
from detres.checkpoints.reading import read_safetensors
from detres.config.localization_schema import LocalizationConfig
from detres.data.classification.views import ViewDataset, view_loader
from detres.data.loading.samplers import Share
from detres.data.localization.loaders import ProposalCropping
from detres.data.localization.localized import LocalizedImages
from detres.data.packing import offsets_of
from detres.localization.testing import Finder
from detres.reporter import Reporter
from detres.tasks.runs.assembly import load_once
from detres.tasks.runs.evaluation_places import default_place, file_digest


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
    """Those of all training images, made by the main rank where they are not kept beside the RPN's weights.

    rpn_file: the RPN's weights, whose run keeps them in proposals/, under a name that changes with all they depend on.
    """
    test = config.test.model_dump_json(include={"crops", "scales", "proposals", "nms"})
    state = hashlib.blake2b(f"{images.digest()} {file_digest(rpn_file)} {test}".encode(), digest_size=8)
    kept = default_place(rpn_file) / "proposals" / f"{images.name.replace('/', '-')}-{state.hexdigest()}.safetensors"

    def make() -> SetProposals:
        if not kept.is_file():
            reporter.say(f"proposals: {config.test.proposals} of each of {len(images)} images are made by {rpn_file}")
            made = _made(finder, config, images, device)
            tensors = {"boxes": torch.from_numpy(made.boxes), "offsets": torch.from_numpy(made.offsets)}
            write_tensors(kept, tensors, {})
        tensors, _ = read_safetensors(kept)
        return SetProposals(tensors["offsets"].numpy(), tensors["boxes"].numpy())

    found = load_once(make)
    reporter.say(f"proposals: {len(found.boxes)} on {len(images)} images, in {kept}")
    return found


def _made(finder: Finder, config: LocalizationConfig, images: LocalizedImages, device: torch.device) -> SetProposals:
    """An image that cannot be read has one, the first pixel; training meets it as a grey one."""
    dataset = ViewDataset(images, finder.plans[:1], strict=bool(config.data.strict))
    loader = view_loader(
        dataset, Share(batch=config.test.batch), workers=config.data.workers, pin_memory=device.type == "cuda"
    )
    places = {images.image_id(i): i for i in range(len(images))}
    found = [np.array([[0, 0, 1, 1]], np.float32)] * len(images)
    for batch in loader:
        if not len(batch):
            continue
        indices = [places[image_id] for image_id in batch.image_ids]
        classes = torch.from_numpy(images.labels[indices])[:, None]
        proposed = finder.propose(batch, classes, device, count=finder.count)
        for index, (of_class,) in zip(indices, proposed, strict=True):
            found[index] = of_class.boxes.float().numpy()
    return SetProposals(offsets_of(np.array([len(boxes) for boxes in found])), np.concatenate(found))
