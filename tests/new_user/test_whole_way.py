"""A new user with the wheel, an empty folder and thirty photos: from the first command to objects on a new photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.new_user.photos import CLASSES, HEIGHT, WIDTH, draw_photos
from tests.new_user.whole_way import go, install

# What learns on two cores in half a minute: small pictures, a small net, few looks.
QUICK = (
    *("model.backbone.name=resnet18", "data.shortest_side=[128]", "data.longest_side=192", "model.fpn.channels=64"),
    *("model.rpn.pre_nms_train=300", "model.rpn.post_nms_train=100", "model.roi.batch_per_image=64"),
    *("model.rpn.pre_nms_test=200", "model.rpn.post_nms_test=50", "model.roi.head_fc_channels=128"),
    *("model.backbone.weights=null", "training.steps=60", "training.batch=4", "training.log_every=5"),
    *("training.eval_every=30", "training.checkpoint_every=30", "training.precision=float32", "data.workers=0"),
    *("optimizer.lr=0.02", "--device", "cpu"),
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed."""
    return install(tmp_path_factory.mktemp("installed"))


@pytest.mark.slow
def test_training_measuring_and_predicting_with_the_wheel(
    site: Path, labelled: Callable[[str], Path], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (new,) = draw_photos(tmp_path / "new", count=1, seed=1)
    way = go(site, work, labelled("labelimg"), tmp_path / "new" / new.file, QUICK, stop_after=600)
    assert [stage.command for stage in way.stages] == ["check_data", "train_det", "eval_det", "predict"]
    assert str(site) in way.installed_at
    # What objects are is learned within a minute; the loss of all else first grows with what is found.
    assert way.objectness[-1] < 0.5 * way.objectness[0]
    assert 0.05 < way.metrics["mAP50"] <= 1.0
    assert set(way.metrics["per_class"]) == set(CLASSES)
    (found,) = way.predictions
    assert found["size"] == [WIDTH, HEIGHT]
    assert all(0 <= x1 <= x2 <= WIDTH and 0 <= y1 <= y2 <= HEIGHT for x1, y1, x2, y2 in found["boxes"])
    for file in ("run/config.yaml", "run/checkpoints/last/model.safetensors", "evaluated/report.html"):
        assert (work / file).stat().st_size > 0
    assert any(file.suffix in (".jpg", ".png") for file in (work / "found").rglob("*"))
    assert {file.name for file in work.iterdir()} == {"run", "evaluated", "found"}
