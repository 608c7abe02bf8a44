"""A detector as one graph that runs without detres.

N images, D detections of an image at most.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from detres.backbones.norms import fold_norms
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.head_uses import check_uses
from detres.errors import ConfigError


def export_detector(model: FasterRCNN, image_size: tuple[int, int], *, batch: int = 1) -> ExportedProgram:
    """`predict_tensors` for batches of one shape, by torch.export.

    image_size: padded height and width, multiples of model.pad_to. batch: N.
    The program takes and returns what FasterRCNN.predict_tensors does, on the model's device; smaller images are
    padded with zeros to image_size, and `sizes` says how large they are. It holds a copy of the weights, norms folded.
    Raises ConfigError for a size that does not fit, for roi_align=rows, and for a RoI head that does not export.
    """
    check_uses(model.roi, ["export"])
    height, width = image_size
    fitting = tuple(max(1, -(-side // model.pad_to)) * model.pad_to for side in image_size)
    if fitting != (height, width):
        raise ConfigError(
            f"image_size is {height}x{width}, expected positive multiples of {model.pad_to}, as this model pads its "
            f"images: {fitting[0]}x{fitting[1]}"
        )
    if batch < 1:
        raise ConfigError(f"batch is {batch}, expected at least 1")
    device = next(model.parameters()).device
    images = torch.zeros(batch, height, width, 3, dtype=torch.uint8, device=device)
    sizes = torch.tensor([[height, width]] * batch, device=device)
    # torch.export.save warns of weights in channels_last; the images, and so the maps, are in channels_last anyway.
    core = _Core(fold_norms(model).to(memory_format=torch.contiguous_format))
    with torch.no_grad():
        return torch.export.export(core, (images, sizes), strict=False)


class _Core(nn.Module):
    """torch.export takes a module's forward."""

    def __init__(self, model: FasterRCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.model.predict_tensors(images, sizes)
