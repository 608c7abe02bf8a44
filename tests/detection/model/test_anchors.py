import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from detres.detection.model.anchors import AnchorGrid, cell_anchors, default_sizes, grid_anchors


def test_a_square_anchor_by_hand() -> None:
    assert cell_anchors([32], [1.0]).tolist() == [[-16.0, -16.0, 16.0, 16.0]]
    tall = cell_anchors([32], [4.0])
    assert tall.tolist() == [[-8.0, -32.0, 8.0, 32.0]]  # The area stays 32², the height is four times the width.


def test_the_usual_sizes_lie_all_on_one_level_or_one_on_each_of_five() -> None:
    """Ren et al. 2015 as on COCO since; Lin et al. 2017, section 4.1."""
    assert default_sizes(1) == ((32, 64, 128, 256, 512),)
    assert default_sizes(5) == ((32,), (64,), (128,), (256,), (512,))
    with pytest.raises(ValueError, match="for 2 levels"):
        default_sizes(2)


def test_order_says_which_varies_slowest() -> None:
    by_size, by_ratio = (cell_anchors([8, 16], [0.5, 1, 2], order=order) for order in ("size", "ratio"))
    assert (by_size[:3, 2] < 16).all()
    assert torch.equal(by_size.view(2, 3, 4).transpose(0, 1).reshape(6, 4), by_ratio)


def test_cells_stand_in_reading_order() -> None:
    anchors = grid_anchors(torch.tensor([[-1.0, -1, 1, 1]]), (2, 3), (4, 8))
    assert anchors[:, 0].tolist() == [-1, 7, 15, -1, 7, 15]
    assert anchors[:, 1].tolist() == [-1, -1, -1, 3, 3, 3]


@pytest.mark.parametrize("size", [(224, 320), (800, 1088)])
def test_fitted_rounded_ratio_major_anchors_are_torchvisions(size: tuple[int, int]) -> None:
    sizes, ratios = default_sizes(5), (0.5, 1.0, 2.0)
    height, width = size
    shapes = [(height // s, width // s) for s in (4, 8, 16, 32)]
    shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    maps = [torch.zeros(1, 1, *shape) for shape in shapes]
    theirs = AnchorGenerator(sizes, (ratios,) * 5)(ImageList(torch.zeros(1, 3, *size), [size]), maps)[0]
    grid = AnchorGrid(sizes, (4, 8, 16, 32, 64), ratios=ratios, rounded=True, order="ratio", fitted=True)
    assert torch.equal(torch.cat(grid(maps, size)), theirs)


def test_rounded_anchors_in_the_middle_are_those_of_inclusive_corners() -> None:
    """mmdetection 1.x counts a box's last pixel as its corner: a centre of (stride - 1) / 2, and sides one shorter."""
    grid = AnchorGrid([(64.0,), (128.0,)], (8, 16), rounded=True, order="ratio", offset=0.5)
    for anchors, stride, size in zip(grid([torch.zeros(1, 1, 1, 1)] * 2, (8, 8)), (8, 16), (64, 128), strict=True):
        for anchor, ratio in zip(anchors.tolist(), (0.5, 1.0, 2.0), strict=True):
            centre, width, height = (stride - 1) / 2, size / ratio**0.5, size * ratio**0.5
            first = [round(centre - (side - 1) / 2) for side in (width, height)]
            last = [round(centre + (side - 1) / 2) for side in (width, height)]
            assert anchor == [first[0], first[1], last[0] + 1, last[1] + 1]


def test_a_grid_is_laid_by_stride_by_size_and_unrounded_unless_asked() -> None:
    grid = AnchorGrid([(30.0, 50.0)], (8,))
    assert grid.per_cell == 2 * 3
    (anchors,) = grid([torch.zeros(1, 1, 2, 3)], (13, 22))  # A stride fitted to this image would be 6 by 7.
    cell = cell_anchors((30.0, 50.0), (0.5, 1.0, 2.0), order="size")
    assert torch.equal(anchors, grid_anchors(cell, (2, 3), (8, 8)))
    assert not torch.equal(cell, cell.round())


def test_a_fitted_stride_is_whole_pixels_each_way() -> None:
    grid = AnchorGrid([(32.0,)], (8,), ratios=(1.0,), fitted=True)
    (anchors,) = grid([torch.zeros(1, 1, 2, 3)], (13, 22))
    assert (anchors[:, :2] + 16).tolist() == [[0, 0], [7, 0], [14, 0], [0, 6], [7, 6], [14, 6]]


def test_anchors_are_no_weights() -> None:
    assert not AnchorGrid([[32], [64]], (8, 16)).state_dict()


def test_every_level_needs_its_map() -> None:
    with pytest.raises(ValueError, match="zip"):
        AnchorGrid([[32], [64]], (8, 16))([torch.zeros(1, 1, 2, 2)], (16, 16))


def test_levels_must_share_the_number_of_anchors() -> None:
    with pytest.raises(ValueError, match="same number of sizes"):
        AnchorGrid([[32, 64], [128]], (8, 16))


def test_anchors_are_kept_on_a_device_for_images_of_the_last_sizes(monkeypatch):
    grid = AnchorGrid([[8.0]], [4]).to("meta")
    laid, lay = [], grid._laid
    monkeypatch.setattr(grid, "_laid", lambda maps, size: laid.append(size) or lay(maps, size))

    def ask(side):
        return grid([torch.empty(1, 1, side, side, device="meta")], (4 * side, 4 * side))

    assert ask(3)[0] is ask(3)[0]
    assert laid == [(12, 12)]
    for side in range(4, 12):
        ask(side)
    ask(3)
    assert laid[-1] == (12, 12)
    assert len(grid._kept) == 8
    with torch.inference_mode():
        ask(3)  # is not to be learned from later
    assert laid[-2:] == [(12, 12), (12, 12)]


def test_on_the_cpu_anchors_are_laid_each_time():
    grid = AnchorGrid([[8.0]], [4])
    maps = [torch.zeros(1, 1, 2, 2)]
    assert grid(maps, (8, 8))[0] is not grid(maps, (8, 8))[0]
    assert grid._kept == {}
