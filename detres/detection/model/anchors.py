"""Anchors: reference boxes of a few sizes and ratios, laid on every cell of every level.

A anchors a cell, H×W cells, L levels. A level's anchors stand in the order (H, W, A), as the RPN's outputs do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

# Ren et al. 2015 (section 3.3) lay three sizes on one level; the COCO settings since then are five. FPN (Lin et al.
# 2017, section 4.1) gives each of its five levels one of the same sizes.
SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)


_MOST_KEPT = 8
"""Sizes of images whose anchors are kept on a device, the last ones: 4 MB each at 800 x 1333."""


def default_sizes(levels: int) -> tuple[tuple[float, ...], ...]:
    """All five sizes on a single level, or one size on each of five."""
    if levels == 1:
        return (SIZES,)
    if levels == len(SIZES):
        return tuple((size,) for size in SIZES)
    raise ValueError(f"no default sizes for {levels} levels; pass one list of sizes a level")


def cell_anchors(
    sizes: Sequence[float], ratios: Sequence[float], *, rounded: bool = False, order: Literal["size", "ratio"] = "size"
) -> Tensor:
    """The anchors of the cell at the origin, centred on its corner.

    sizes: square roots of areas, pixels. ratios: height over width. order: which of the two varies slowest.
    Returns (A, 4) float32, A = sizes × ratios.
    """
    size, ratio = torch.tensor(sizes, dtype=torch.float32), torch.tensor(ratios, dtype=torch.float32)
    heights, widths = torch.sqrt(ratio)[:, None] * size, (1.0 / torch.sqrt(ratio))[:, None] * size  # (ratios, sizes)
    if order == "size":
        heights, widths = heights.T, widths.T
    heights, widths = heights.flatten(), widths.flatten()
    anchors = torch.stack([-widths, -heights, widths, heights], dim=1) / 2
    return anchors.round() if rounded else anchors


def grid_anchors(cell: Tensor, map_size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Shift the cell's anchors to every cell.

    cell: (A, 4). map_size: (H, W). stride: pixels a cell, (vertical, horizontal). Returns (H*W*A, 4), pixels.
    """
    rows, columns = (
        torch.arange(0, cells * step, step, dtype=cell.dtype, device=cell.device)
        for cells, step in zip(map_size, stride, strict=True)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    shifts = torch.stack([x, y, x, y], dim=-1).view(-1, 1, 4)
    return (shifts + cell).view(-1, 4)


class AnchorGrid(nn.Module):
    """Lays anchors on the maps of a pyramid.

    sizes: one list a level. strides: pixels a cell, one a level. offset: of an anchor in its cell, in strides.
    fitted: take the stride as image side // map side instead. torchvision does; where a map's side was rounded up
    (p6 of an image 800 high has 13 rows: 61 pixels instead of 64) its anchors lie elsewhere, and weights trained
    with them expect that.
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        strides: Sequence[int],
        *,
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        rounded: bool = False,
        order: Literal["size", "ratio"] = "size",
        offset: float = 0.0,
        fitted: bool = False,
    ) -> None:
        super().__init__()
        if len(sizes) != len(strides):
            raise ValueError(f"{len(sizes)} lists of sizes for {len(strides)} levels")
        if len({len(level) for level in sizes}) != 1:
            raise ValueError(f"every level needs the same number of sizes (the RPN is shared), got {sizes}")
        self.strides, self.fitted = tuple(strides), fitted
        self.per_cell = len(sizes[0]) * len(ratios)
        for level, (level_sizes, stride) in enumerate(zip(sizes, strides, strict=True)):
            cell = cell_anchors(level_sizes, ratios, rounded=rounded, order=order) + offset * stride
            self.register_buffer(f"cell{level}", cell, persistent=False)
        self._kept: dict[tuple[object, ...], list[Tensor]] = {}

    def forward(self, maps: Sequence[Tensor], image_size: tuple[int, int]) -> list[Tensor]:
        """maps: L tensors (N, C, H, W). image_size: padded (height, width). Returns L tensors (H*W*A, 4).

        They are kept for the next image of the same size, and are not to be written to.
        """
        if self.cell0.device.type == "cpu" or torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
            return self._laid(maps, image_size)  # Quickly made, not there to be kept, or of no use in training.
        sizes = (image_size, tuple(features.shape[-2:] for features in maps), self.cell0.device, self.cell0.dtype)
        if sizes not in self._kept:
            if len(self._kept) == _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[sizes] = self._laid(maps, image_size)
        return list(self._kept[sizes])

    def _laid(self, maps: Sequence[Tensor], image_size: tuple[int, int]) -> list[Tensor]:
        anchors = []
        for level, (features, stride) in enumerate(zip(maps, self.strides, strict=True)):
            height, width = features.shape[-2:]
            steps = (image_size[0] // height, image_size[1] // width) if self.fitted else (stride, stride)
            anchors.append(grid_anchors(getattr(self, f"cell{level}"), (height, width), steps))
        return anchors
