"""Every key of the model sections is the architecture's or the recipe's, and neither both nor unheard of."""

import pytest

from detres.config.loading import SCHEMAS, leaves
from detres.config.model_keys import MODEL_KEYS, lies_in


@pytest.mark.parametrize("task", SCHEMAS)
def test_every_key_of_a_model_stands_in_exactly_one_place(task: str) -> None:
    keys = MODEL_KEYS[task]
    named = (*keys.architecture, *keys.training, *keys.testing, *keys.data)
    there = [".".join(path) for path in leaves(SCHEMAS[task]().model.model_dump())]
    for key in there:
        assert sum(lies_in(key, each) for each in named) == 1, key
    assert [each for each in named if not any(lies_in(key, each) for key in there)] == []


def test_what_shapes_tensors_is_architecture_and_how_is_learned_is_not() -> None:
    keys = MODEL_KEYS["detection"]
    assert keys.is_architecture("fpn.channels")
    assert not keys.is_recipe("fpn.channels")
    for key in ("backbone.frozen_stages", "rpn.box_loss.beta", "rpn.post_nms_test"):
        assert keys.is_recipe(key)
        assert not keys.is_architecture(key)
    assert not keys.is_recipe("class_names")
    assert not keys.is_architecture("class_names")
