from __future__ import annotations

import socket
from pathlib import Path

import pytest

from detres.backbones.weights import tags
from detres.backbones.weights.tags import PRETRAINED, find_published
from detres.config.detection_schema import BackboneConfig
from detres.conversion import published
from detres.errors import WeightsError
from detres.reporter import Reporter
from detres.tasks.detection.finetune import beginning
from detres.tasks.detection.finetune.beginning import DETECTOR, choose_beginning


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a machine from which no server can be reached."""
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path))

    def refuse(address, timeout):
        raise OSError(f"no way to {address[0]}")

    monkeypatch.setattr(socket, "create_connection", refuse)
    return tmp_path


def chosen(stated=(), *, name="resnet50", weights=None, may_download=True):
    lines: list[str] = []
    made = choose_beginning(
        BackboneConfig(name=name, weights=weights),
        set(stated),
        may_download=may_download,
        reporter=Reporter(lines.append),
    )
    return made, lines


def put(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")


def test_a_detector_at_hand_is_best(cache):
    put(cache / "torchvision" / "fasterrcnn_resnet50_fpn_v2.safetensors")
    made, lines = chosen()
    assert (made.weights, made.backbone, lines) == (DETECTOR, None, [])


def test_a_detector_that_was_downloaded_is_converted(cache, monkeypatch):
    put(published.published_detector(DETECTOR).file)
    asked: list[str] = []
    monkeypatch.setattr(beginning, "locate_detector", asked.append)
    assert chosen()[0].weights == DETECTOR
    assert asked == [DETECTOR]


def test_where_no_server_answers_a_backbone_at_hand_is_next(cache, monkeypatch):
    put(find_published(PRETRAINED, "resnet50").file)
    monkeypatch.setattr(beginning, "fetch", lambda weights: weights.file)
    made, (line,) = chosen()
    assert (made.weights, made.backbone) == (None, PRETRAINED)
    assert "does not answer (no way to download.pytorch.org); by hand, https://" in line
    assert str(cache) in line


def test_with_nothing_at_hand_it_says_what_random_weights_cost(cache):
    made, lines = chosen()
    assert made.in_words == "from random weights"
    assert not made.has_trunk
    assert lines[-1].startswith("warning: it begins with random weights, which are given eight times as many steps")
    assert len(lines) == 3


def test_a_dry_run_asks_no_server(cache, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a server was asked"))
    _, lines = chosen(may_download=False)
    assert lines[0] == f"{DETECTOR}: not in the cache, and a dry run downloads nothing"


def test_what_a_server_gives_is_fetched_and_a_broken_file_is_told(cache, monkeypatch):
    class Answer:
        def close(self) -> None:
            pass

    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: Answer())

    def broken(weights):
        raise WeightsError(f"{DETECTOR}: its SHA-256 is another")

    monkeypatch.setattr(beginning, "locate_detector", broken)
    fetched: list[str] = []
    monkeypatch.setattr(beginning, "fetch", lambda weights: fetched.append(weights.tag))
    made, lines = chosen()
    assert made.backbone == PRETRAINED
    assert fetched == [PRETRAINED]
    assert lines == [f"{DETECTOR}: its SHA-256 is another"]


def test_weights_that_the_user_names_are_what_it_begins_with(cache):
    stated = [("model", "backbone", "weights")]
    made, lines = chosen(stated, weights="mine.npz")
    assert (made.has_trunk, made.backbone, lines) == (True, None, [])
    assert not chosen(stated, weights=None)[0].has_trunk


@pytest.mark.parametrize("key", [("model", "layout"), ("model", "backbone", "name")])
def test_another_architecture_does_not_begin_with_the_published_detector(cache, key):
    put(cache / "torchvision" / "fasterrcnn_resnet50_fpn_v2.safetensors")
    assert chosen([key])[0].weights is None
    assert chosen([("model", "rpn", "nms"), ("data", "root")])[0].weights == DETECTOR


def test_a_backbone_of_which_nothing_is_published_is_told(cache):
    named = [("model", "backbone", "name")]
    assert "nobody publishes" in chosen(named, name="timm/convnext_tiny")[1][0]
    assert "resnet20" in " ".join(chosen(named, name="resnet20")[1])
    assert tags.weights_cache() == cache
