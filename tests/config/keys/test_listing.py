from __future__ import annotations

from detres.config.key_effects import CONDITIONS
from detres.config.keys.listing import TASKS, list_keys
from detres.config.problems import all_keys
from detres.tables import SCHEMAS


def test_every_key_of_every_task_is_listed_once() -> None:
    found = list_keys()
    names = [key.name for key in found]
    assert len(set(names)) == len(names)
    for task in TASKS:
        assert {key.name for key in found if task in key.by_task} == {
            ".".join(path) for path in all_keys(SCHEMAS[task])
        }


def test_a_section_stands_together_with_its_group_first() -> None:
    sections = [key.section for key in list_keys()]
    assert sections == [section for section in dict.fromkeys(sections) for _ in range(sections.count(section))]
    rpn = [key for key in list_keys() if key.section == "model.rpn"]
    assert [key.is_group for key in rpn] == [True] + [False] * (len(rpn) - 1)
    assert sections.index("model.rpn") < sections.index("model.rpn.box_loss") < sections.index("data")


def test_a_key_has_the_default_of_each_task() -> None:
    (batch,) = (key for key in list_keys() if key.name == "training.batch")
    assert {task: each.default for task, each in batch.by_task.items()} == {
        "detection": "16",
        "classification": "256",
        "localization": "256",
    }
    assert {each.takes for each in batch.by_task.values()} == {"a whole number from 1"}


def test_a_key_says_when_it_counts() -> None:
    counts = {key.name: {task: each.counts for task, each in key.by_task.items()} for key in list_keys()}
    assert counts["schedule.power"]["detection"] == "schedule.name=poly"
    assert counts["schedule.end_factor"]["detection"].startswith("schedule.name=cosine or poly or plateau")
    assert counts["optimizer.momentum"]["detection"] == "optimizer.name=sgd or a timm/NAME that has it"
    assert counts["model.rpn.box_loss.beta"]["detection"] == "model.rpn.box_loss.name=smooth_l1"
    assert counts["data.padding"] == {"classification": "data.cropping=pad"}
    assert counts["training.seed"]["detection"] == ""


def test_what_a_whole_group_counts_with_is_said_at_the_group() -> None:
    counts = {key.name: key.by_task["detection"].counts for key in list_keys(("detection",))}
    assert counts["model.fpn"] == "model.layout=fpn"
    assert counts["model.fpn.channels"] == ""


def test_every_condition_that_is_quick_to_say_is_said() -> None:
    for task in TASKS:
        said = {key.name: key.by_task[task].counts for key in list_keys((task,))}
        for condition in CONDITIONS[task]:
            for key in condition.keys if condition.quick else ():
                assert condition.wanted_words() in said[key], key


def test_one_task_has_its_own_keys_alone() -> None:
    names = {key.name for key in list_keys(("classification",))}
    assert "loss.mixup" in names
    assert "model.rpn" not in names
