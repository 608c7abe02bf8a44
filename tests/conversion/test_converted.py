"""What every conversion of a detector shares."""

import pytest
import torch

from detres.backbones.architectures import BACKBONES
from detres.conversion.converted import class_names_of, resnet_of
from detres.data.classes import COCO_CLASSES, VOC_CLASSES
from detres.errors import WeightsError


def blocks(name: str, last: str = "backbone.layer4") -> dict[str, torch.Tensor]:
    """The names of a ResNet's blocks; last: where its last stage lies."""
    net = BACKBONES[name]
    convs = 3 if net.block == "bottleneck" else 2
    stages = [*(f"backbone.layer{n}" for n in (1, 2, 3)), last]
    return {
        f"{stage}.{block}.conv{conv + 1}.weight": torch.zeros(1)
        for stage, depth in zip(stages, net.depths, strict=True)
        for block in range(depth)
        for conv in range(convs)
    }


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_a_resnet_is_known_by_its_blocks(name: str) -> None:
    assert resnet_of(blocks(name)) == name
    assert resnet_of(blocks(name, last="roi.head.stage")) == name


def test_blocks_of_no_resnet_are_refused() -> None:
    more = blocks("resnet18") | {"backbone.layer1.2.conv1.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"basic blocks, \(3, 2, 2, 2\) in its stages"):
        resnet_of(more)
    with pytest.raises(WeightsError, match=r"\(0, 0, 0, 0\)"):
        resnet_of({})


def test_class_names_are_as_stated_cocos_vocs_or_numbers() -> None:
    assert class_names_of(80, None)[0] == COCO_CLASSES
    assert class_names_of(20, None)[0] == VOC_CLASSES
    assert class_names_of(2, None)[0] == ("class 0", "class 1")
    assert class_names_of(2, ["cat", "dog"]) == (("cat", "dog"), "as stated")
    with pytest.raises(WeightsError, match="1 class names for weights with 2 classes"):
        class_names_of(2, ["cat"])
