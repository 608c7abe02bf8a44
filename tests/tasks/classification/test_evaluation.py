from __future__ import annotations

from pathlib import Path

import pytest

from detres.config.classification_schema import ClassificationConfig
from detres.config.detection_schema import Config
from detres.config.loading import dump_config
from detres.errors import ConfigError
from detres.evaluation.classification.accuracy import AccuracyEvaluator
from detres.tasks.classification.evaluation import metric_lines, server_numbers
from detres.tasks.runs.evaluation_places import Asked, config_of_data, default_folder


def test_imagenet_s_server_counts_classes_in_an_order_of_its_own() -> None:
    assert server_numbers(("tench", "kit fox", "sea snake")) == [449, 1, 490]
    assert server_numbers(("tench", "my cat")) is None
    assert server_numbers(("n01440764",)) is None


def test_what_is_undefined_is_a_dash_and_the_rest_per_cent() -> None:
    evaluator = AccuracyEvaluator(("ant", "bee"), [1, 2, 3, 4], [0, 0, 0, 1])
    empty = AccuracyEvaluator(("ant", "bee"), [], [])
    evaluator.add([1, 2, 3, 4], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9]])
    assert metric_lines(evaluator.summarize()) == [
        "top-1 error  50.00 %   top-5 error   0.00 %   of 4 images",
        "   66.67 % (2) of ant taken for bee",
        "hardest: ant 66.67 %",
    ]
    assert metric_lines(empty.summarize()) == ["top-1 error      – %   top-5 error      – %   of 0 images"]


def test_the_data_are_those_of_the_config_of_the_run_or_of_a_file_of_data(tmp_path: Path) -> None:
    file = tmp_path / "run" / "checkpoints" / "best" / "model.safetensors"
    assert default_folder(file, "cifar10/test", "test") == tmp_path / "run" / "eval" / "cifar10-test-best"
    assert default_folder(file, "cifar10/test", "test", others=2).name == "cifar10-test-best-and-2-more"
    loose = tmp_path / "loose.safetensors"
    assert default_folder(loose, "birds", "val") == Path("runs") / "loose" / "eval" / "birds-val-loose"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(dump_config(ClassificationConfig(recipe="mine")))
    assert config_of_data(file, Asked(), Config()).recipe == "mine"
    with pytest.raises(ConfigError, match="the data are unknown; name them with --cfg or --data"):
        config_of_data(loose, Asked(), Config())
