"""The residual nets their authors published, as Caffe2 pickles (R-50.pkl, R-101.pkl).

They were written by Python 2 and hold arrays by name: res2_0_branch2a_w, res2_0_branch2a_bn_s (scale) and _bn_b
(shift). A pickle may run any code while it is read; pickles/array_pickle.py reads numpy arrays alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detres.backbones.weights.metadata import MSRA_EPS, WeightsMetadata, msra_metadata
from detres.errors import WeightsError
from detres.pickles.array_pickle import read_array_pickle

# Told apart by the blocks of conv4.
_ARCHITECTURES = {6: "resnet50", 23: "resnet101", 36: "resnet152"}


def read_msra_pickle(path: Path) -> tuple[dict[str, Tensor], WeightsMetadata]:
    """Tensors under torchvision's names, and what is known of them.

    Raises WeightsError for a pickle that holds anything but arrays by name, or names of another kind.
    """
    try:
        content = read_array_pickle(path)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    blobs = content.get("blobs", content) if isinstance(content, dict) else content
    if not isinstance(blobs, dict) or "res2_0_branch2a_w" not in blobs:
        raise WeightsError(
            f"{path}: a pickle without the Caffe2 names of the published residual nets (res2_0_branch2a_w, …). Other "
            "weights are taken as .pth state dict, .npz or .safetensors"
        )
    arrays = _arrays(blobs, path)
    blocks = sum(re.fullmatch(r"res4_\d+_branch2a_w", name) is not None for name in arrays)
    if blocks not in _ARCHITECTURES:
        raise WeightsError(f"{path}: conv4 has {blocks} blocks; 6, 23 or 36 make ResNet-50, 101 or 152")
    try:
        return convert_msra(arrays), msra_metadata(_ARCHITECTURES[blocks])
    except KeyError as error:
        raise WeightsError(f"{path}: {error.args[0]} is no layer of the published residual nets") from error


def _arrays(blobs: Mapping[Any, Any], path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for name, value in blobs.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            raise WeightsError(f"{path}: {name!r} is no array of floats")
        if not name.endswith("_momentum"):  # the optimizer's, in files saved while training
            arrays[name] = value.astype(np.float32)
    return arrays


def convert_msra(blobs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Caffe2's names and affine pairs -> torchvision's names and batch norms.

    The scale and shift already contain the statistics. A batch norm with mean 0 and variance 1 - eps divides by
    exactly one, so they are its weight and bias. Raises KeyError for a layer of another network.
    """
    tensors: dict[str, Tensor] = {}
    for name, array in blobs.items():
        tensor = torch.from_numpy(array.copy())
        layer, _, kind = name.rpartition("_")
        if layer in ("fc1000", "pred"):
            tensors["fc.weight" if kind == "w" else "fc.bias"] = tensor
        elif layer.endswith("_bn"):
            norm = _torchvision_norm(layer.removesuffix("_bn"))
            tensors[f"{norm}.{'weight' if kind == 's' else 'bias'}"] = tensor
            tensors[f"{norm}.running_mean"] = torch.zeros_like(tensor)
            tensors[f"{norm}.running_var"] = torch.full_like(tensor, 1 - MSRA_EPS)
        elif kind == "w":
            tensors[f"{_torchvision_conv(layer)}.weight"] = tensor
    _fold_conv_biases(blobs, tensors)
    return tensors


def _fold_conv_biases(blobs: Mapping[str, np.ndarray], tensors: dict[str, Tensor]) -> None:
    """ResNet-50's conv1 has a bias in Caffe; behind the scale it is a part of the shift."""
    if "conv1_b" in blobs and "bn1.bias" in tensors:
        tensors["bn1.bias"] += tensors["bn1.weight"] * torch.from_numpy(blobs["conv1_b"].copy())


def _torchvision_conv(layer: str) -> str:
    """conv1 -> conv1, res2_0_branch2a -> layer1.0.conv1, res2_0_branch1 -> layer1.0.downsample.0."""
    if layer == "conv1":
        return "conv1"
    match = re.fullmatch(r"res([2-5])_(\d+)_branch(1|2[abc])", layer)
    if match is None:
        raise KeyError(layer)
    stage, block, branch = match.groups()
    conv = "downsample.0" if branch == "1" else f"conv{'abc'.index(branch[1]) + 1}"
    return f"layer{int(stage) - 1}.{block}.{conv}"


def _torchvision_norm(layer: str) -> str:
    """res_conv1 -> bn1, res2_0_branch2a -> layer1.0.bn1, res2_0_branch1 -> layer1.0.downsample.1."""
    if layer in ("res_conv1", "conv1"):
        return "bn1"
    conv = _torchvision_conv(layer)
    return conv.replace("downsample.0", "downsample.1").replace("conv", "bn")
