"""The anchors of a config's detector, and the sizes that its recipe makes images, as the check of a set takes them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from detres.config.detection_schema import Config, ModelConfig
from detres.config.loading import KeyPath
from detres.data.detection.anchor_fit import AnchorShapes, Resize
from detres.data.detection.annotations import AnnotatedImages
from detres.detection.model.anchors import cell_anchors, default_sizes
from detres.detection.model.building import padding_multiple
from detres.tasks.detection.finetune import choices
from detres.tasks.detection.finetune.facts import Facts


def anchor_shapes(model: ModelConfig) -> AnchorShapes:
    """The anchors' sides and strides, for a data set to be held against."""
    strides = {"c4": (16,), "dc5": (16,), "fpn": (4, 8, 16, 32, 64)}[model.layout]
    sizes = model.anchors.sizes or default_sizes(len(strides))
    cells = [cell_anchors(s, model.anchors.ratios, rounded=model.anchors.rounded).double().numpy() for s in sizes]
    return AnchorShapes(
        tuple(cell[:, 2:] - cell[:, :2] for cell in cells),
        strides,
        model.rpn.negative_iou,
        offset=model.anchors.offset,
        fitted=model.anchors.fitted,
        pad_to=padding_multiple(model),
    )


def finetunes_resize(config: Config, stated: Collection[KeyPath]) -> Callable[[AnnotatedImages], Resize]:
    """The sizes that the recipe `finetune` would choose for a set. stated: keys that the user set, and it keeps."""

    def chosen(images: AnnotatedImages) -> Resize:
        own = Resize.of(config.data)
        if not len(images):
            return own
        facts = Facts.of(images)
        sides, longest = own.shortest_sides, own.longest_side
        if ("data", "shortest_side") not in stated:
            sides = tuple(choices.shortest_side(facts).value)
        if ("data", "longest_side") not in stated:
            longest = choices.longest_side(facts, max(sides)).value
        return Resize(sides, longest, own.rounding)

    return chosen
