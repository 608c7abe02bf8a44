import cv2
import numpy as np
import pytest

from detres.training.logging.logger import RunStart
from detres.training.logging.tensorboard_log import TensorBoardLog

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(run):
    return accumulator.EventAccumulator(str(run / "tensorboard")).Reload()


def begin(run, **start):
    log = TensorBoardLog()
    log.start(RunStart(run, **start))
    return log


def test_it_holds_the_numbers_and_nothing_else(tmp_path):
    log = begin(tmp_path)
    log.metrics("train", 1200, {"loss_rpn_box": 0.031, "gradient_norm": float("inf")})
    log.metrics("eval", 1200, {"AP": 0.5, "APs": None, "set": "val", "per_class": {"cat": 1.0}})
    log.metrics("event", 1200, {"message": "a word"})
    log.finish()
    events = read(tmp_path)
    assert events.Tags()["scalars"] == ["train/loss_rpn_box", "eval/AP"]
    (scalar,) = events.Scalars("train/loss_rpn_box")
    assert (scalar.step, scalar.value) == (1200, pytest.approx(0.031))


def test_a_picture_comes_back_as_it_was(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    log = begin(tmp_path)
    log.picture("val/0", 3, rgb)
    log.finish()
    (image,) = read(tmp_path).Images("val/0")
    assert (image.step, image.width, image.height) == (3, 7, 5)
    decoded = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decoded[..., ::-1], rgb)


def test_what_lies_ahead_of_a_run_that_goes_on_counts_no_more(tmp_path):
    log = begin(tmp_path)
    for step in (1, 2, 3):
        log.metrics("train", step, {"loss": float(step)})
    log.finish()
    log = begin(tmp_path, step=2)
    log.metrics("train", 3, {"loss": 30.0})
    log.finish()
    assert [(scalar.step, scalar.value) for scalar in read(tmp_path).Scalars("train/loss")] == [(1, 1), (2, 2), (3, 30)]
