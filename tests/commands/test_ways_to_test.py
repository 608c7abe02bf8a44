"""eval_det and train_det with refinement, context, scales and ensembles, as a user meets them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detres.backbones.weights.files import write_tensors
from detres.config.loading import load_config
from detres.detection.files import DetectorSettings
from detres.errors import ConfigError
from detres.prediction import Detector, NamedDetections
from detres.reporter import Reporter
from detres.tasks.detection.weights import detector_from_weights

TESTS = (
    ["test.refine=1"],
    ["test.scales=[48,64,96]"],
    ["test.flip=true", "test.fusion=soft_nms"],
    ["test.scales=[48,64]", "test.fusion=wbf", "test.vote=true"],
)


@pytest.fixture(scope="module")
def weights(trained: Path) -> Path:
    return trained / "checkpoints" / "last" / "model.safetensors"


@pytest.mark.slow
def test_each_way_of_testing_is_measured_and_written_down(
    done: Callable[..., str], trained: Path, tmp_path: Path
) -> None:
    for place, overrides in enumerate(TESTS):
        out = tmp_path / str(place)
        assert "mAP@0.5" in done("eval_det", "--weights", trained, "--out", out, *overrides)
        metrics = json.loads((out / "metrics.json").read_text())
        assert metrics["images"] == 5
        for text in overrides:
            key, _, value = text.removeprefix("test.").partition("=")
            stated = metrics["test"][key]
            assert stated == {"vote": "score"}.get(key, json.loads(value) if value[0] in "[t1" else value)


@pytest.mark.slow
def test_several_weights_are_an_ensemble(done: Callable[..., str], trained: Path, tiny: Any) -> None:
    told = done("eval_det", "--weights", trained, "--weights", trained / "checkpoints" / "last", "--cfg", tiny.cfg)
    (folder,) = (trained / "eval").glob("*-and-1-more")
    assert f"written to {folder}" in told
    assert len(json.loads((folder / "metrics.json").read_text())["weights"]) == 2


@pytest.mark.slow
def test_a_trained_context_model_begins_as_the_plain_one(weights: Path, tiny: Any) -> None:
    said: list[str] = []
    config = load_config(tiny.cfg, ["model.global_context=true"])
    plain, _ = DetectorSettings.load(weights)
    model = detector_from_weights(config, plain.class_names, weights, Reporter(said.append)).eval()
    assert any("without global context, whose columns start at zero" in line for line in said)
    images = torch.randint(0, 256, (1, 64, 80, 3), dtype=torch.uint8)
    sizes = torch.tensor([[64, 80]])
    with torch.no_grad():
        for found, expected in zip(
            model.predict_tensors(images, sizes), plain.predict_tensors(images, sizes), strict=True
        ):
            assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_context_is_trained_end_to_end_and_comes_back_from_its_file(
    done: Callable[..., str], weights: Path, tiny: Any, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done("train_det", "--cfg", tiny.cfg, "--weights", weights, "--out", out, "model.global_context=true")
    model, settings = DetectorSettings.load(out / "checkpoints" / "last" / "model.safetensors")
    assert settings.model.global_context
    channels = model.roi.head.out_channels
    assert model.roi.class_logits.weight[:, channels:].abs().max() > 0
    assert math.isfinite(json.loads((out / "metrics.jsonl").read_text().splitlines()[0])["loss"])
    assert "mAP@0.5" in done("eval_det", "--weights", out)


@pytest.mark.slow
def test_a_detector_is_predicted_as_its_file_says_it_is_tested(weights: Path, tiny: Any) -> None:
    plain = Detector.from_checkpoint(weights, device="cpu", score=0.01)
    settings = plain.settings
    refined = type(settings)(
        settings.model,
        settings.preprocessing,
        settings.test.model_copy(update={"scales": (64, 96)}),
        settings.backbone,
        settings.norms,
    )
    model, _ = DetectorSettings.load(weights)
    detector = Detector(model, refined, device="cpu", score=0.01)
    found, once = (list(each.predict_many(tiny.pictures())) for each in (detector, plain))
    assert [d.image_size for d in found] == [d.image_size for d in once]
    assert [d.boxes.tolist() for d in found] != [d.boxes.tolist() for d in once]
    with pytest.raises(ConfigError, match="which no single graph holds"):
        detector.export((64, 96))


@pytest.mark.slow
@pytest.mark.parametrize(
    "test",
    [{"refine": 1}, {"scales": (48, 64), "fusion": "wbf"}, {"flip": True, "fusion": "soft_nms"}],
    ids=["refined", "wbf", "soft_nms"],
)
def test_a_higher_floor_leaves_the_best_of_the_same_detections(weights: Path, tiny: Any, test: dict[str, Any]) -> None:
    def found(score: float | None) -> list[NamedDetections]:
        model, settings = DetectorSettings.load(weights)
        settings = replace(settings, test=settings.test.model_copy(update={"score": 0.01} | test))
        return list(Detector(model, settings, device="cpu", score=score).predict_many(tiny.pictures()))

    everything = found(None)
    floor = sorted(score for each in everything for score in each.scores.tolist())[-3]
    for each, best in zip(everything, found(floor), strict=True):
        assert best.to_dict() == each.above(floor).to_dict()


@pytest.mark.slow
def test_a_fusion_of_nothing_is_refused(
    done: Callable[..., str], refused: Callable[..., str], trained: Path, tmp_path: Path
) -> None:
    given = ("eval_det", "--weights", trained, "--out", tmp_path)
    for members in ((), ("--weights", trained)):
        told = refused(*given, *members, "test.fusion=soft_nms")
        assert "test.fusion changes nothing here: test.flip is false and test.scales is []" in told
        assert "eval_det --detections merges what detectors left in files" in told
    assert "warning" not in done(*given, "test.fusion=soft_nms", "test.flip=true")


@pytest.mark.slow
def test_members_that_know_other_classes_leave_no_folder(
    refused: Callable[..., str], weights: Path, trained: Path, tmp_path: Path
) -> None:
    model, settings = DetectorSettings.load(weights)
    names = tuple(reversed(settings.model.class_names))
    settings = replace(settings, model=settings.model.model_copy(update={"class_names": names}))
    other, out = tmp_path / "other.safetensors", tmp_path / "out"
    write_tensors(other, model.state_dict(), settings.to_metadata())
    told = refused("eval_det", "--weights", trained, "--weights", other, "--out", out)
    assert "the same ones in another order. Merge the detections.json of each instead" in told
    assert not out.exists()


@pytest.mark.slow
def test_mistakes_get_one_message(refused: Callable[..., str], trained: Path, tiny: Any, tmp_path: Path) -> None:
    given = ("eval_det", "--weights", trained, "--out", tmp_path / "out")
    told = refused(*given, "test.scales=[96,64]")
    assert "do not ascend; write them as [64, 96]" in told
    assert "merges scales, not mirrors" in refused(*given, "test.fusion=maxout", "test.flip=true")
    told = refused(*given, "model.global_context=true", kind="WeightsError")
    assert "global_context is False, and True is asked for" in told
    assert "names its classes itself" in refused(*given, "model.class_names=[square,disc]")
    assert "there is no such" in refused(*given, "--weights", tmp_path / "none", kind="WeightsError")
