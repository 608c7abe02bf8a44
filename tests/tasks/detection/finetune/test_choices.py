from __future__ import annotations

from dataclasses import replace

import pytest

from detres.tasks.detection.finetune import choices
from detres.tasks.detection.finetune.beginning import of_backbone, of_detector, of_nothing
from detres.tasks.detection.finetune.facts import Facts

FACTS = Facts("birds", 200, 800, 3, shorter=480, longer=640, small=40.0, middle=90.0, most_boxes=9, sided=None)


def sides(**facts) -> list[int]:
    return choices.shortest_side(replace(FACTS, **facts)).value


def test_pictures_keep_their_size_up_to_cocos():
    assert sides() == [384, 432, 480]
    assert sides(shorter=3000, longer=4000, small=300.0) == [640, 720, 800]


def test_small_boxes_are_made_larger_up_to_twice_the_picture():
    # Boxes of 20 pixels become 24: 480 * 24 / 20 = 576.
    assert sides(small=20.0)[-1] == 576
    assert sides(small=2.0)[-1] == 960
    # Of a large picture it is shrunk less: 3000 * 24 / 60 = 1200 rather than 800, in whole cells.
    assert sides(shorter=3000, longer=4000, small=60.0)[-1] == 1216
    assert sides(shorter=6000, longer=8000, small=10.0)[-1] == 1600


def test_tiny_pictures_are_made_larger():
    assert sides(shorter=100, longer=100)[-1] == 320
    assert sides(small=None, middle=None)[-1] == 480


def test_the_longer_side_holds_the_usual_shape_and_shrinks_strips():
    assert choices.longest_side(FACTS, 480).value == 800
    assert choices.longest_side(replace(FACTS, longer=960), 480).value == 1056  # 480 * 2.2
    strips = choices.longest_side(replace(FACTS, longer=9600), 480)
    assert strips.value == 1216  # 480 * 2.5, in whole cells
    assert strips.reason == "strips are made smaller, to spare memory; most pictures are 9600 × 480"
    usual = [choices.longest_side(replace(FACTS, longer=longer), 480).reason for longer in (640, 960, 1200)]
    assert set(usual) == {"no picture of the usual shape is made smaller for it"}


def test_larger_sets_take_more_steps_and_fewer_epochs():
    runs = [choices.epochs(replace(FACTS, images=n), of_detector(), None).value for n in (30, 200, 1000, 10_000)]
    assert runs == [49.0, 23.0, 12.0, 4.8]
    seen = [n * epochs for n, epochs in zip((30, 200, 1000, 10_000), runs, strict=True)]
    assert seen == sorted(seen)


def test_what_begins_with_less_takes_longer_at_a_higher_rate():
    lengths = [
        choices.epochs(FACTS, beginning, None).value for beginning in (of_detector(), of_backbone(), of_nothing())
    ]
    assert lengths == [23.0, 68.0, 180.0]
    rates = [choices.learning_rate(16, beginning).value for beginning in (of_detector(), of_backbone(), of_nothing())]
    assert rates == [0.01, 0.014, 0.02]


def test_time_shortens_a_run_and_never_lengthens_it():
    short = choices.epochs(FACTS, of_detector(), 1000)
    assert (short.value, short.reason) == (5.0, "what fits into the time; 23 would be usual")
    assert choices.epochs(FACTS, of_detector(), 10**6).value == 23.0


@pytest.mark.parametrize(("epochs", "size"), [(200.0, 16), (40.0, 8), (23.0, 4), (11.0, 2), (0.1, 2)])
def test_the_batch_leaves_a_thousand_updates_where_it_can(epochs, size):
    assert choices.batch(FACTS, epochs).value == size
    assert choices.batch(FACTS, 11.0).reason == "so that there are 1100 updates of the weights"


def test_the_rate_of_a_quarter_of_the_batch_is_half_as_high():
    assert choices.learning_rate(4, of_detector()).value == 0.005
    assert choices.learning_rate(2, of_backbone()).value == 0.0049  # BCCD's recipe, chosen by hand, has 0.005


def test_a_run_is_evaluated_as_often_as_it_has_the_time_for():
    values = [choices.evaluations(epochs, 25).value for epochs in (0.5, 2.0, 25.0, 26.0, 180.0)]
    assert values == ["25 %", "1 epoch", "1 epoch", "2 epochs", "8 epochs"]
    values = [choices.evaluations(epochs, 3).value for epochs in (0.5, 1.4, 2.0, 6.4, 9.0)]
    assert values == ["34 %", "34 %", "1 epoch", "3 epochs", "3 epochs"]
    values = [choices.evaluations(epochs, 1).value for epochs in (0.5, 2.0, 6.4)]
    assert values == ["100 %", "2 epochs", "7 epochs"]


def test_what_need_not_be_chosen_is_not():
    assert choices.frozen_stages(of_nothing()) is None
    assert choices.trunk(of_backbone()) is None  # the user's own
    assert choices.trunk(of_backbone("torchvision/X")).value == "torchvision/X"
    assert choices.augmentation(FACTS) is None
    assert choices.augmentation(replace(FACTS, sided="left")).value == []
    assert choices.most_detections(FACTS) is None
    assert choices.most_detections(replace(FACTS, most_boxes=140)).value == 300
