"""Whatever a training puts around a model's tensors, they are found, or what is there is named."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from detres.backbones.weights.state_dicts import state_dict_of, unwrapped
from detres.errors import WeightsError
from detres.pickles.inert_pickle import read_torch_file

STATE = {"conv1.weight": torch.ones(2), "fc.bias": torch.zeros(3)}


def read(content: Any, path: Path) -> Any:
    torch.save(content, path)
    return state_dict_of(*read_torch_file(path))


@pytest.mark.parametrize("holder", ["model", "state_dict", "model_state_dict", "model_ema", "net", "ema"])
def test_a_checkpoint_holds_its_model_under_many_names(tmp_path: Path, holder: str) -> None:
    content = {holder: STATE, "optimizer": {"state": {0: {"step": torch.ones(1)}}}, "epoch": 3, "best": torch.ones(1)}
    found = read(content | {"args": argparse.Namespace(lr=0.02, output=Path("x"))}, tmp_path / "a.pth.tar")
    assert found.tensors.keys() == STATE.keys()
    (note,) = found.notes
    assert note.startswith("left unread, beside the weights: argparse.Namespace")


def test_of_a_model_and_its_average_the_model_is_taken_and_the_average_told(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    content = {"model": net.state_dict(), "model_ema": AveragedModel(net).state_dict()}
    found = read(content, tmp_path / "a.pth")
    assert found.tensors.keys() == {"0.weight", "0.bias"}
    assert found.notes == ("model_ema, beside model, is left aside",)
    del content["model"]
    assert read(content, tmp_path / "a.pth").tensors.keys() == {"0.weight", "0.bias"}
    nested = read({"model": {"state_dict": STATE, "epoch": 1}}, tmp_path / "a.pth")
    assert nested.tensors.keys() == STATE.keys()


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        ("module.", "module."),
        ("_orig_mod.", "_orig_mod."),
        ("model.", "model."),
        ("backbone.", "backbone."),
        ("encoder.", "encoder."),
        ("module._orig_mod.", "_orig_mod., module."),
        ("model.module.backbone.", "model., module., backbone."),
        ("backbone._orig_mod.", "_orig_mod., backbone."),
    ],
)
def test_what_stands_before_every_name_is_taken_off_and_told(prefix: str, told: str) -> None:
    tensors, notes = unwrapped({prefix + name: tensor for name, tensor in STATE.items()})
    assert tensors.keys() == STATE.keys()
    assert notes == (f"taken off its names: {told}",)


def test_what_stands_before_some_names_stays() -> None:
    names = {"backbone.conv1.weight": torch.ones(1), "head.fc.weight": torch.ones(1)}
    assert unwrapped(names) == (names, ())
    with pytest.raises(WeightsError, match="two models in one state dict"):
        unwrapped({"module.a.weight": torch.ones(1), "a.weight": torch.ones(1)})


class Whole(nn.Linear):
    """A model that is saved as it is, not as its state dict."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Whole(2, 2), r"holds no tensors by name but \S+Whole, a whole object"),
        ({"model": Whole(2, 2), "epoch": 3}, r"a dict of 'model', 'epoch'; save the model's state_dict\(\) alone"),
        ({"generator": STATE, "discriminator": STATE}, "a dict of 'generator', 'discriminator'"),
        ({"model": {"layers": 3}}, "model holds no tensors by name"),
        ({"conv1.weight": torch.ones(1), "epoch": 3}, "not a state dict of tensors alone: 'epoch' is 3"),
        ({"conv1.weight": torch.ones(1), "x": Path("a")}, r"its pickle asks for pathlib\.\w+, and might run any code"),
        ([1, 2], "but a list"),
        ({}, "but a dict"),
        ({1: torch.ones(1)}, "a dict of 1"),
        (torch.ones(3), "but a Tensor"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        read(content, tmp_path / "a.pth")


def test_a_tensor_that_is_no_weight_does_not_make_a_state_dict(tmp_path: Path) -> None:
    content: dict[str, Tensor | dict[str, Tensor]] = {"best_prec1": torch.tensor(0.9), "state_dict": STATE}
    assert read(content, tmp_path / "a.th").tensors.keys() == STATE.keys()
