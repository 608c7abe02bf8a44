import pytest

from detres.config.detection_schema import Config
from detres.config.loading import read_config
from detres.config.scaling import scale_to_batch

RECIPE = {
    "training": {"steps": 90_000, "eval_every": 5000},
    "schedule": {"warmup_steps": 500, "milestones": [60_000, 80_000]},
    "optimizer": {"lr": 0.02},
}


def scaled(batch: int, explicit: set = frozenset(), **training):
    values = RECIPE | {"training": RECIPE["training"] | {"batch": batch} | training}
    config, changes = scale_to_batch(Config(**values), recipe_batch=16, explicit=explicit)
    return config, {change.key: change.value for change in changes}


def test_an_eighth_of_the_batch_takes_eight_times_the_steps_at_an_eighth_of_the_rate():
    config, changes = scaled(2)
    assert changes == {
        "optimizer.lr": pytest.approx(0.0025),
        "training.steps": 720_000,
        "training.eval_every": 40_000,
        "schedule.warmup_steps": 4000,
        "schedule.milestones": (480_000, 640_000),
    }
    assert config.training.steps == 720_000
    assert config.training.checkpoint_every == Config().training.checkpoint_every


def test_the_recipes_batch_changes_nothing():
    assert scaled(16)[1] == {}


def test_what_the_user_set_is_never_scaled():
    _, changes = scaled(2, {("optimizer", "lr"), ("schedule", "milestones")})
    assert set(changes) == {"training.steps", "training.eval_every", "schedule.warmup_steps"}


def test_milestones_still_ascend_where_they_fall_together():
    config, _ = scaled(16 * 60_000)
    assert config.schedule.milestones == (1, 2)
    assert config.training.steps == 2


def _file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "training: {steps: 1000, batch: 16}\nschedule: {warmup_steps: 100, milestones: [600, 876]}\n", encoding="utf-8"
    )
    return file


def test_milestones_beyond_a_shorter_run_are_scaled_with_it_and_told(tmp_path):
    loaded = read_config(_file(tmp_path), ["training.steps=400"])
    assert loaded.config.schedule.milestones == (240, 350)
    assert loaded.config.schedule.warmup_steps == 100
    assert [f"{s.to}: {s}" for s in loaded.scaled] == [
        "training.steps=400: schedule.milestones: [600, 876] -> [240, 350]"
    ]


def test_a_warmup_as_long_as_the_run_is_scaled_too(tmp_path):
    loaded = read_config(_file(tmp_path), ["training.steps=100"])
    assert loaded.config.schedule.warmup_steps == 10
    assert loaded.config.schedule.milestones == (60, 88)


def test_what_lies_within_the_run_and_what_the_user_stated_stays(tmp_path):
    assert read_config(_file(tmp_path), ["training.steps=900"]).scaled == ()
    assert read_config(_file(tmp_path), ["training.steps=2000"]).scaled == ()
    stated = read_config(_file(tmp_path), ["training.steps=400", "schedule.milestones=[600, 876]"])
    assert stated.scaled == ()
    assert stated.config.schedule.milestones == (600, 876)


def test_a_run_of_another_batch_is_shortened_from_its_scaled_length(tmp_path):
    loaded = read_config(_file(tmp_path), ["training.batch=8", "training.steps=1000"])
    assert loaded.config.schedule.milestones == (600, 876)
    assert loaded.config.schedule.warmup_steps == 200


def test_a_runs_own_config_is_not_scaled_again(tmp_path):
    assert read_config(_file(tmp_path), ["training.steps=400"], trusted=False).scaled == ()


def test_a_rate_that_no_float_holds_is_a_message(tmp_path):
    from detres.errors import ConfigError

    file = tmp_path / "big.yaml"
    file.write_text("training: {batch: 1}\noptimizer: {lr: 1e308}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"scaled to training\.batch=1000: optimizer\.lr"):
        read_config(file, ["training.batch=1000"])
