import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from detres.backbones.architectures import BACKBONES
from detres.backbones.resnet import ResNet
from detres.backbones.weights.files import read_weights, write_weights
from detres.backbones.weights.loading import save_backbone
from detres.backbones.weights.metadata import WeightsMetadata
from detres.errors import WeightsError
from detres.files.checksums import sha256
from detres.structures import IMAGENET_STATS, PixelStats

BGR = PixelStats(mean=(103.0, 116.0, 123.0), std=(1.0, 1.0, 1.0), order="bgr")
METADATA = WeightsMetadata("resnet18", BGR, stride_in="1x1", pool="caffe", norm_eps=2e-5, recipe="by hand")


def test_what_is_written_is_read_back_with_its_metadata(tmp_path):
    path = tmp_path / "deep" / "w.safetensors"
    tensors = {"conv1.weight": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)}
    write_weights(path, tensors, METADATA)
    file = read_weights(path)
    assert file.metadata == METADATA
    assert torch.equal(file.tensors["conv1.weight"], tensors["conv1.weight"])
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


@pytest.mark.slow
def test_a_saved_backbone_says_what_it_is(tmp_path):
    net = ResNet(BACKBONES["resnet18"], "resnet18", shortcut="A", pool="caffe", norm_eps=1e-3, pixel_stats=BGR)
    save_backbone(tmp_path / "b.safetensors", net, recipe="none")
    known = read_weights(tmp_path / "b.safetensors").metadata
    assert known == WeightsMetadata("resnet18", BGR, "3x3", "caffe", 1e-3, "A", "none", shortcut_padding="end")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 3}])
def test_a_state_dict_is_told_about_by_a_file_beside_it(tmp_path, wrap):
    path = tmp_path / "w.pth"
    torch.save(wrap({"module.conv1.weight": torch.ones(1)}), path)
    with pytest.raises(WeightsError, match=r"w\.pth\.json beside"):
        read_weights(path)
    (tmp_path / "w.pth.json").write_text(METADATA.to_json())
    file = read_weights(path)
    assert list(file.tensors) == ["conv1.weight"]
    assert file.metadata == METADATA


def test_the_message_holds_metadata_ready_to_be_written(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **{"conv1.weight": np.zeros((1, 1), np.float32)})
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    example = str(caught.value)
    example = example[example.index("{") :]
    (tmp_path / "w.npz.json").write_text(example)
    assert read_weights(path).metadata.pixel_stats == IMAGENET_STATS


def test_torchvisions_files_are_recognised_by_a_name_that_tells_their_checksum(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"conv1.weight": torch.ones(1)}, path)
    true = path.rename(tmp_path / f"resnet50-{sha256(path)[:8]}.pth")
    assert read_weights(true).metadata.architecture == "resnet50"
    false = true.rename(tmp_path / "resnet50-00000000.pth")
    with pytest.raises(WeightsError, match="not recognised"):
        read_weights(false)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride_in": "2x2"}, "stride_in is '2x2'"),
        ({"pixel_stats": {"mean": [1, 2, 3], "std": [1, 1, 1], "order": "gbr"}}, "order is 'gbr'"),
        ({"pixel_stats": {"mean": [1, 2], "std": [1, 1, 1], "order": "rgb"}}, "three means"),
        ({"pooling": "max"}, r"no metadata of weights \('pooling' is unknown\); its keys are"),
        ({"pixel_stats": 3}, r"\(pixel_stats is 3; it takes mean, std and order\); its keys are"),
        ({"pixel_stats": {"mean": 1, "std": [1, 1, 1], "order": "rgb"}}, "it takes mean, std and order"),
        ({"pixel_stats": {"mean": [1, 2, 3], "std": [1, 1, 1]}}, "it has no order"),
    ],
)
def test_metadata_with_a_mistake_is_refused_by_name(change, message):
    values = json.loads(METADATA.to_json()) | change
    with pytest.raises(WeightsError, match=message):
        WeightsMetadata.from_json(json.dumps(values), where="here.json")


@pytest.mark.parametrize("text", ["{}", '{"pixel_stats": {}}', "[1]", "null", "7"])
def test_metadata_that_lack_what_is_needed_are_told_in_ours(text):
    with pytest.raises(WeightsError, match=r"here: no metadata of weights \((it has no architecture|got .*)\)"):
        WeightsMetadata.from_json(text, where="here")


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth", ".pkl", ".txt"])
def test_what_cannot_be_read_is_one_message(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"no weights at all")
    with pytest.raises(WeightsError, match="w" + suffix):
        read_weights(path)
    with pytest.raises(WeightsError, match="no such"):
        read_weights(tmp_path / "absent.pth")


class Touch:
    """Unpickled as it says, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_state_dict_that_would_run_code_is_one_line_that_does_not_tell_how_to_run_it(tmp_path):
    path, ran = tmp_path / "w.pth", tmp_path / "ran"
    torch.save({"conv1.weight": Touch(ran)}, path)
    with pytest.raises(WeightsError, match=r"its pickle asks for \w+\.system, and might run any code$") as told:
        read_weights(path)
    assert "\n" not in str(told.value)
    assert not ran.exists()


def test_a_state_dict_that_was_cut_off_says_so(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="it may be cut off: fetch or save it again"):
        read_weights(path)


def test_an_archive_with_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array([{}], dtype=object))
    with pytest.raises(WeightsError, match=r"w\.npz"):
        read_weights(tmp_path / "w.npz")


def test_safetensors_without_our_metadata_must_be_told_about(tmp_path):
    safetensors.torch.save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="carries no metadata"):
        read_weights(tmp_path / "w.safetensors")


def test_a_first_convolution_without_elements_is_none_that_is_known(tmp_path):
    safetensors.torch.save_file({"conv1.weight": torch.zeros(0, 2**61)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="carries no metadata"):
        read_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("path", "mend"),
    [
        ("runs/imagenet_r101/backbone.safetensors", "; `detres train_cls --cfg imagenet_r101` makes it"),
        ("runs/mine/backbone.safetensors", ""),
        ("other/imagenet_r101/backbone.safetensors", ""),
    ],
)
def test_what_a_config_of_ours_makes_is_said_with_its_command(path: str, mend: str) -> None:
    with pytest.raises(WeightsError) as told:
        read_weights(Path(path))
    assert str(told.value) == f"{path}: no such weights file{mend}"
