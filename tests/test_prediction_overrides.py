"""predict and Detector.from_checkpoint take the keys that eval_det takes, with its words where they are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detres import Detector
from detres.commands.main import main
from detres.errors import ConfigError, UserError, WeightsError

# Each changes what the trained detector finds.
SAID = {
    "test": {"score": 0.02, "nms": 0.3, "max_detections": 2},
    "data": {"shortest_side": 56, "longest_side": 80},
    "model": {"rpn": {"post_nms_test": 6, "pre_nms_test": 12, "nms": 0.4}},
}


def keys_of(said: dict[str, Any], above: str = "") -> list[str]:
    found = []
    for key, value in said.items():
        found += keys_of(value, f"{above}{key}.") if isinstance(value, dict) else [f"{above}{key}={value}"]
    return found


@pytest.fixture
def predicted(trained: Path, tiny: Any, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    def run(*more: str) -> list[dict[str, Any]]:
        command = ["predict", "--weights", trained, *tiny.pictures(), "--out", tmp_path, "--no-images", *more]
        assert main([*map(str, command), "--device", "cpu"]) == 0
        return [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]

    return run


@pytest.mark.slow
def test_both_find_what_eval_det_finds_by_the_same_keys(
    trained: Path, tiny: Any, predicted: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    command = ["eval_det", "--weights", trained, "--out", tmp_path / "eval", "--device", "cpu", *keys_of(SAID)]
    assert main([*map(str, command)]) == 0
    evaluated = json.loads((tmp_path / "eval" / "detections.json").read_text())
    scores = sorted(row["score"] for row in evaluated)

    detector = Detector.from_checkpoint(trained, device="cpu", **SAID)
    assert detector.settings.test.nms == 0.3
    assert detector.settings.preprocessing.shortest_side == (56,)
    found = [detector.predict(path) for path in tiny.pictures()]
    assert sorted(torch.cat([each.scores for each in found]).tolist()) == pytest.approx(scores, abs=1e-5)
    assert max(map(len, found)) == 2

    lines = predicted(*keys_of(SAID))
    assert sorted(score for line in lines for score in line["scores"]) == pytest.approx(scores, abs=1e-5)
    for each, line in zip(found, lines, strict=True):
        assert torch.allclose(each.boxes, torch.tensor(line["boxes"]).reshape(-1, 4), atol=1e-3)


@pytest.mark.slow
def test_every_key_alone_changes_what_is_found(trained: Path, tiny: Any) -> None:
    def found(**groups: Any) -> list[list[float]]:
        test = {"score": 0.03, **groups.pop("test", {})}
        detector = Detector.from_checkpoint(trained, device="cpu", test=test, **groups)
        return [detector.predict(path).scores.tolist() for path in tiny.pictures()]

    usual = found()
    for group in ("test", "data"):
        for key, value in SAID[group].items():
            assert found(**{group: {key: value}}) != usual, key
    for key, value in SAID["model"]["rpn"].items():
        assert found(model={"rpn": {key: value}}) != usual, key


@pytest.mark.slow
def test_more_than_one_look_is_taken_where_it_is_asked_for(
    trained: Path, tiny: Any, predicted: Callable[..., list[dict[str, Any]]]
) -> None:
    plain, mirrored = predicted(), predicted("test.flip=true")
    assert plain != mirrored
    assert all(score >= 0.5 for line in mirrored for score in line["scores"])
    detector = Detector.from_checkpoint(trained, device="cpu", score=0.5, test={"flip": True})
    found = [detector.predict(path) for path in tiny.pictures()]
    assert [each.scores.tolist() for each in found] == [line["scores"] for line in mirrored]


WRONG = [
    ("test", {"scoer": 0.1}, "test.scoer is unknown; did you mean test.score?", ConfigError),
    ("test", {"nms": 7}, "test.nms: got 7, expected a number of at most 1", ConfigError),
    ("data", {"shortest_sides": 7}, "did you mean data.shortest_side?", ConfigError),
    ("test", {"batch": 4}, "test.batch changes nothing here: how many images are computed at once", ConfigError),
    ("test", {"refine_nms": 0.2}, "test.refine_nms changes nothing here: test.refine is 0", ConfigError),
    ("test", {"fusion": "wbf"}, "test.fusion changes nothing here", ConfigError),
    ("data", {"workers": 4}, "data.workers changes nothing here: it is of a data set", ConfigError),
    ("model", {"rpn": {"pre_nms_train": 9}}, "pre_nms_train changes nothing here: it is of training", ConfigError),
    ("model", {"class_names": ["a", "b"]}, "model.class_names changes nothing here", ConfigError),
    ("model", {"global_context": True}, "model.global_context is False, and True is asked for", WeightsError),
]


@pytest.mark.slow
@pytest.mark.parametrize(("group", "values", "said", "kind"), WRONG)
def test_what_is_wrong_or_of_no_use_is_named(
    group: str,
    values: dict[str, Any],
    said: str,
    kind: type[UserError],
    trained: Path,
    tiny: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(kind) as told:
        Detector.from_checkpoint(trained, device="cpu", **{group: values})
    assert said in str(told.value)
    (key,) = keys_of({group: values})
    key = key.replace("'", "")
    command = ["predict", "--weights", trained, tiny.pictures()[0], key, "--out", tmp_path / "out"]
    assert main([*map(str, command)]) == 2
    message = capsys.readouterr().err
    assert said in message
    if kind is ConfigError:
        assert message.startswith(f"ConfigError: {key}: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_keys_of_training_are_named_and_a_group_is_a_mapping(
    trained: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, said in (
        ("training.precision=bf16", "--precision, or precision=, says it"),
        ("optimizer.lr=1", "optimizer.lr changes nothing here: it is of training"),
        ("score=0.3", "score is unknown; did you mean test.score?"),
    ):
        assert main(["predict", "--weights", str(trained), str(tiny.pictures()[0]), key]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"test is 0\.3, expected a mapping of its keys, such as \{'nms': 0\.4\}"):
        Detector.from_checkpoint(trained, test=0.3)
    assert main(["predict", "--weights", str(trained), "test.score=0.3"]) == 2
    assert "no INPUT" in capsys.readouterr().err


@pytest.mark.slow
def test_two_floors_are_one_too_many_where_one_changes_nothing(
    trained: Path, tiny: Any, predicted: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"test\.score=0\.1 and score=0\.5: only the higher would count"):
        Detector.from_checkpoint(trained, score=0.5, test={"score": 0.1})
    lines = predicted("test.vote=score", "test.score=0.1", "--score", "0.4")
    assert all(score >= 0.4 for line in lines for score in line["scores"])
    assert any(0.1 <= score < 0.5 for line in predicted("test.score=0.1") for score in line["scores"])


@pytest.mark.slow
def test_a_file_whose_name_looks_like_a_key_is_a_file(
    trained: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test.score=1.png").write_bytes(tiny.pictures()[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    command = ["predict", "--weights", trained, "test.score=1.png", "--out", "out", "--no-images", "--device", "cpu"]
    assert main([*map(str, command)]) == 0
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 1
