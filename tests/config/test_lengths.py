from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import model_json_schema

from detres.config.detection_schema import Config
from detres.config.lengths import in_steps, steps_of
from detres.config.loading import dump_config, load_config, read_config
from detres.errors import ConfigError


def of_length(value) -> object:
    return Config(training={"eval_every": value}).training.eval_every


@pytest.mark.parametrize(
    ("given", "kept"),
    [(7, 7), ("1 epoch", "1 epoch"), (" 2.5epochs ", "2.5 epochs"), ("10%", "10 %"), (".5 epochs", ".5 epochs")],
)
def test_steps_stay_numbers_and_text_is_written_in_one_way(given, kept):
    assert of_length(given) == kept


@pytest.mark.parametrize("wrong", ["an epoch", "0 epochs", "-1 epoch", "5", "1 step", "", "1e3 epochs", 0, -2, 1.5])
def test_what_is_no_length_is_refused(wrong):
    with pytest.raises(ValidationError):
        of_length(wrong)


def test_messages_name_the_key_and_what_it_takes():
    for override, said in (
        ("training.eval_every=daily", "training.eval_every: got 'daily', expected a number of steps, or text such as"),
        ("training.eval_every=0", "training.eval_every: got 0, expected a number of at least 1"),
        ("schedule.milestones=[3, soon]", "schedule.milestones.1: got 'soon'"),
    ):
        with pytest.raises(ConfigError) as told:
            load_config("shapes_r18_fpn", [override])
        assert said in str(told.value)


def test_a_config_with_lengths_in_words_is_written_and_read_back(tmp_path, recwarn):
    config = load_config("shapes_r18_fpn", ["training.epochs=3", "training.eval_every=1 epoch", "training.patience=2"])
    (tmp_path / "again.yaml").write_text(dump_config(config).replace("  steps: ", "  # steps: "), encoding="utf-8")
    again = read_config(tmp_path / "again.yaml").config
    assert again.training.eval_every == "1 epoch"
    assert again.training.epochs == 3.0
    assert not [warning for warning in recwarn if "serializ" in str(warning.message).lower()]


def test_editors_are_told_of_both_forms():
    def forms(schema: type[BaseModel]) -> str:
        return str(model_json_schema(schema)["$defs"]["DetectionTrainingConfig"]["properties"]["checkpoint_every"])

    assert "epochs?" in forms(Config)
    assert "integer" in forms(Config)


@pytest.mark.parametrize(
    ("length", "steps"), [(7, 7), ("1 epoch", 250), ("0.5 epochs", 125), ("10 %", 90), (".001 epochs", 1)]
)
def test_epochs_and_shares_become_steps(length, steps):
    assert in_steps(length, epoch=250, run=900) == steps


def test_steps_of_what_is_not_in_steps_is_an_error_of_ours():
    assert steps_of(3) == 3
    with pytest.raises(ValueError, match="not in steps"):
        steps_of("1 epoch")
