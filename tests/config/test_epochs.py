from __future__ import annotations

import pytest

from detres.config.detection_schema import Config
from detres.config.epochs import asks_for_epochs, with_steps
from detres.config.loading import load_config, read_config
from detres.errors import ConfigError


def config_of(batch=16, schedule=(), **training) -> Config:
    return Config(training={"batch": batch, **training}, schedule=dict(schedule))


def test_a_config_in_steps_asks_for_nothing():
    assert not asks_for_epochs(config_of(eval_every=5))
    for training in ({"epochs": 1}, {"eval_every": "1 epoch"}, {"checkpoint_every": "5 %"}, {"keep_every": "2 epochs"}):
        assert asks_for_epochs(config_of(**training))
    assert asks_for_epochs(config_of(schedule={"milestones": (5, "50 %")}))
    assert asks_for_epochs(config_of(schedule={"warmup_steps": "1 epoch"}))


def test_lengths_of_a_run_of_twelve_epochs_by_hand():
    # 4,808 images, 16 a step: an epoch is 300.5 steps, twelve are 3,606.
    asked = config_of(
        epochs=12,
        eval_every="1 epoch",
        checkpoint_every="0.5 epochs",
        keep_every="4 epochs",
        schedule={"warmup_steps": "1 %", "milestones": ("8 epochs", "11 epochs")},
    )
    config, turned = with_steps(asked, 4808)
    assert config.training.steps == 3606
    assert config.training.epochs is None
    training = config.training
    assert (training.eval_every, training.checkpoint_every, training.keep_every) == (300, 150, 1202)
    assert config.schedule.warmup_steps == 36
    assert config.schedule.milestones == (2404, 3306)
    assert str(turned[0]) == "training.steps: 90000 -> 3606"
    assert turned[0].to == "4808 images, 16 a step"
    assert {one.key for one in turned} == {
        *("training.steps", "training.eval_every", "training.checkpoint_every", "training.keep_every"),
        *("schedule.warmup_steps", "schedule.milestones"),
    }
    assert not asks_for_epochs(config)
    assert with_steps(config, 4808) == (config, ())


def test_the_last_epoch_is_whole():
    assert with_steps(config_of(epochs=1, batch=16), 33)[0].training.steps == 3
    assert with_steps(config_of(epochs=1, batch=16), 32)[0].training.steps == 2
    assert with_steps(config_of(epochs=0.1, batch=10), 1000)[0].training.steps == 10  # though 0.1 is more than a tenth
    assert with_steps(config_of(epochs=0.001, batch=16), 3)[0].training.steps == 1


def test_a_warm_up_beyond_the_end_becomes_a_tenth_of_the_run():
    config, _ = with_steps(config_of(epochs=5, schedule={"warmup_steps": 500}), 160)
    assert (config.training.steps, config.schedule.warmup_steps) == (50, 5)


def test_milestones_on_one_step_still_ascend():
    config, _ = with_steps(config_of(epochs=1, schedule={"milestones": ("50 %", "51 %", "90 %")}), 160)
    assert config.schedule.milestones == (5, 6, 9)


def test_milestones_that_contradict_once_they_are_steps_are_told():
    with pytest.raises(ConfigError, match="must ascend"):
        with_steps(config_of(epochs=1, schedule={"milestones": (5, "1 epoch", 7)}), 160)


def test_a_recipes_milestones_keep_their_place_in_a_run_of_epochs(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("training: {steps: 900, batch: 16}\nschedule: {milestones: [600, 800]}\n", encoding="utf-8")
    loaded = read_config(file, ["training.epochs=30"])
    assert [f"{one.to}: {one}" for one in loaded.scaled] == [
        "training.epochs=30: schedule.milestones: [600, 800] -> ['66.6667 %', '88.8889 %']"
    ]
    assert with_steps(loaded.config, 160)[0].schedule.milestones == (200, 267)
    # With another batch too: what is scaled to it are counts of the recipe, of which the same shares are left.
    other = read_config(file, ["training.epochs=30", "training.batch=4"])
    assert other.config.schedule.milestones == ("66.6667 %", "88.8889 %")
    stated = read_config(file, ["training.epochs=30", "schedule.milestones=[7]"])
    assert stated.config.schedule.milestones == (7,)


def test_a_run_has_one_length(tmp_path):
    both = "training.steps and training.epochs both say how long the run is"
    with pytest.raises(ConfigError, match=both):
        load_config("shapes_r18_fpn", ["training.steps=5", "training.epochs=2"])
    file = tmp_path / "mine.yaml"
    file.write_text("training:\n  steps: 900\n  epochs: 4\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"mine.yaml: {both}.*\(line 3\)"):
        load_config(file)


def test_of_two_lengths_the_one_said_later_counts(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("training: {epochs: 4}\n", encoding="utf-8")
    config = load_config(file, ["training.steps=7"])
    assert (config.training.steps, config.training.epochs) == (7, None)
    file.write_text("training: {steps: 7}\n", encoding="utf-8")
    assert load_config(file, ["training.epochs=4"]).training.epochs == 4.0


def test_patience_needs_evaluations_to_count():
    with pytest.raises(
        ConfigError, match=r"training.patience changes nothing here: .*training.eval_every set, such as to 1 epoch"
    ):
        load_config("coco_r50", ["training.patience=3", "training.eval_every=null"])
