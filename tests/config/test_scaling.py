import pytest

from detres.config.scaling import scale_to_batch
from detres.config.schema import Config

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
