"""The pickles are made here, byte by byte as Python 2 wrote them: protocol 2, names and raw data as byte strings."""

import os
import pickle
import re
import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from detres.backbones.building import build_backbone
from detres.backbones.pixels import MSRA_STATS
from detres.backbones.weights.msra_pickle import read_msra_pickle
from detres.errors import WeightsError


def python2_pickle(content) -> bytes:
    """A dict of names and arrays (or dicts of such) in Python 2's protocol 2."""
    return b"\x80\x02" + _encode(content) + b"."


def _encode(value) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_encode(k) + _encode(v) for k, v in value.items()) + b"u"
    if isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        return (b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))) + raw
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if value is None:
        return b"N"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_encode, value)) + b"t"
    if isinstance(value, np.dtype):
        made = b"cnumpy\ndtype\n" + _encode((value.str[1:], 0, 1)) + b"R"
        return made + _encode((3, "<", None, None, None, -1, -1, 0)) + b"b"
    made = b"cnumpy.core.multiarray\n_reconstruct\n" + b"(cnumpy\nndarray\n" + _encode((0,)) + _encode("b") + b"tR"
    return made + _encode((1, value.shape, value.dtype, False, value.tobytes())) + b"b"


def caffe2_blobs(names_and_shapes, seed=0):
    """Blobs for torchvision's parameters, under Caffe2's names."""
    generator = np.random.default_rng(seed)
    blobs = {}
    for name, shape in names_and_shapes.items():
        layer = re.sub(r"layer(\d)\.(\d+)\.", lambda m: f"res{int(m[1]) + 1}_{m[2]}_", name)
        layer = re.sub(r"(?:conv|bn)([123])\.", lambda m: f"branch2{'abc'[int(m[1]) - 1]}.", layer)
        layer = re.sub(r"downsample\.[01]", "branch1", layer)
        if name == "conv1.weight":
            blob = "conv1_w"
        elif name.startswith("bn1."):
            blob = "res_conv1_bn_" + ("s" if name.endswith("weight") else "b")
        elif ".bn" in name or "downsample.1" in name:
            blob = layer.rsplit(".", 1)[0] + "_bn_" + ("s" if name.endswith("weight") else "b")
        else:
            blob = layer.rsplit(".", 1)[0] + "_w"
        scale = 0.02 if len(shape) == 4 else 1.0
        blobs[blob] = (generator.standard_normal(shape) * scale).astype(np.float32)
    return blobs


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        net = build_backbone("resnet50")
    blobs = caffe2_blobs({name: tuple(p.shape) for name, p in net.named_parameters()})
    generator = np.random.default_rng(1)
    blobs["conv1_b"] = generator.standard_normal(64).astype(np.float32)
    blobs["fc1000_w"] = generator.standard_normal((1000, 2048)).astype(np.float32)
    blobs["fc1000_b"] = generator.standard_normal(1000).astype(np.float32)
    blobs["conv1_w_momentum"] = np.zeros((64, 3, 7, 7), np.float32)
    return blobs


@pytest.mark.slow
def test_every_layer_finds_its_place_and_its_affine_pair_its_norm(tmp_path, published):
    path = tmp_path / "R-50.pkl"
    path.write_bytes(python2_pickle({"blobs": published}))
    net = build_backbone("resnet50", weights=path)
    report = net.load_report
    assert report.missing == ()
    assert set(report.left_over) == {"fc.weight", "fc.bias"}
    assert (net.stride_in, net.pool, net.pixel_stats) == ("1x1", "caffe", MSRA_STATS)
    assert set(net.norms.values()) == {"frozen"}

    images = torch.randn(1, 3, 32, 32)
    by_hand = F.conv2d(
        images, torch.tensor(published["conv1_w"]), torch.tensor(published["conv1_b"]), stride=2, padding=3
    )
    scale, shift = (torch.tensor(published[f"res_conv1_bn_{kind}"])[:, None, None] for kind in "sb")
    net.outputs = ("c1",)
    torch.testing.assert_close(net(images)["c1"], (by_hand * scale + shift).relu(), rtol=1e-4, atol=1e-4)
    last = net.layer3[5]
    assert torch.equal(last.conv3.weight, torch.tensor(published["res4_5_branch2c_w"]))
    assert torch.equal(net.layer4[0].downsample[1].bias, torch.tensor(published["res5_0_branch1_bn_b"]))


@pytest.mark.slow
def test_the_depth_is_read_from_conv4(tmp_path, published):
    path = tmp_path / "R.pkl"
    path.write_bytes(python2_pickle(published))
    assert read_msra_pickle(path)[1].architecture == "resnet50"
    with pytest.raises(WeightsError, match="resnet50, not of resnet101"):
        build_backbone("resnet101", weights=path)


class Malicious:
    def __reduce__(self):
        return (os.system, ("echo harm > harmed",))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"res2_0_branch2a_w": Malicious()}, protocol=protocol))
    with pytest.raises(WeightsError, match=r"asks for (posix|nt)\.system"):
        read_msra_pickle(path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"conv1_w": np.zeros(3, np.float32)},
        {"res2_0_branch2a_w": "text"},
        {"res2_0_branch2a_w": np.zeros(3, np.int64)},
        {"res2_0_branch2a_w": np.zeros(3, np.float32)},
        {f"res{level}_{i}_branch2a_w": np.zeros(3) for level in (2, 4) for i in range(6)} | {"res9_x_w": np.zeros(3)},
    ],
)
def test_other_pickles_are_refused(tmp_path, content):
    path = tmp_path / "other.pkl"
    path.write_bytes(python2_pickle(content))
    with pytest.raises(WeightsError, match=r"other\.pkl"):
        read_msra_pickle(path)
