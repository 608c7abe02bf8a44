from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from detres.backbones.building import build_backbone
from detres.backbones.weights.tags import fetch, find_published
from detres.errors import WeightsError
from detres.files.checksums import sha256


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    return tmp_path


def no_network(*args, **kwargs):
    raise URLError("no network in tests")


@pytest.mark.parametrize(
    ("weights", "file"),
    [
        ("torchvision/IMAGENET1K_V1", "torchvision/resnet50-0676ba61.pth"),
        ("torchvision/IMAGENET1K_V2", "torchvision/resnet50-11ad3fa6.pth"),
        ("pretrained", "torchvision/resnet50-0676ba61.pth"),
        ("timm/a1_in1k", "timm/resnet50.a1_in1k.safetensors"),
        ("msra/R-50", "msra/R-50.pkl"),
    ],
)
def test_without_network_the_message_says_where_to_put_which_file(cache, weights, file):
    with pytest.raises(WeightsError) as caught:
        build_backbone("resnet50", weights=weights)
    assert str(cache / file) in str(caught.value)
    assert "https://" in str(caught.value)


@pytest.mark.parametrize("weights", ["torchvision/IMAGENET1K_V9", "timm/nothing", "msra/R-18"])
def test_tags_that_mean_nothing_name_those_that_do(weights):
    with pytest.raises(WeightsError, match=r"publishes torchvision/|publishes timm/|there are msra/"):
        build_backbone("resnet50", weights=weights)


def test_plain_nets_have_no_published_weights():
    with pytest.raises(WeightsError, match="none at all"):
        build_backbone("plain18", weights="pretrained")


def test_a_file_put_into_the_cache_by_hand_is_used_and_its_checksum_verified(cache):
    published = find_published("timm/a1_in1k", "resnet18")
    published.file.parent.mkdir()
    published.file.write_bytes(b"weights")
    assert fetch(published) == published.file
    published.file.with_name(published.file.name + ".sha256").write_text(sha256(published.file) + "\n")
    assert fetch(published) == published.file
    published.file.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="damaged or another"):
        fetch(published)


def test_a_checksum_in_the_name_is_held_against_the_file(cache):
    published = find_published("torchvision/IMAGENET1K_V1", "resnet18")
    published.file.parent.mkdir()
    published.file.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="expected f37072fd"):
        fetch(published)


def test_a_download_leaves_its_checksum_beside_it(cache, monkeypatch):
    published = find_published("timm/a1_in1k", "resnet18")
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda url, path, digest, progress: Path(path).write_bytes(b"w")
    )
    stated = published.file.with_name(published.file.name + ".sha256")
    assert sha256(fetch(published)) == stated.read_text().strip()
