"""A key that changes nothing beside the others is refused where it was said for one run, and told of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from detres.config.finding import list_configs
from detres.config.key_effects import (
    CONDITIONS,
    in_evaluation,
    in_training_from_weights,
    on_data_alone,
    only_trained_by,
    why_idle,
)
from detres.config.loading import SCHEMAS, Layer, dump_config, load_config, read_config, resolve
from detres.config.model_keys import lies_in
from detres.config.problems import all_keys
from detres.errors import ConfigError

# task, what makes the key count, the key with a value that is not the default.
COUNTED = [
    ("detection", "optimizer.name=timm/rmsprop", "optimizer.momentum=0.5"),
    ("detection", "optimizer.name=timm/lion", "optimizer.betas=[0.5, 0.9]"),
    ("detection", "model.backbone.weights=pretrained", "model.backbone.allow_mismatch=true"),
    ("localization", "model.backbone.weights=pretrained", "model.backbone.allow_mismatch=true"),
    ("detection", "data.val=[val]", "training.log_pictures=4"),
    ("detection", "data.format=voc", "data.exif=false"),
    ("detection", "data.format=csv", "data.strict=true"),
    ("detection", "optimizer.name=adamw", "optimizer.betas=[0.5, 0.9]"),
    ("detection", "optimizer.name=sgd", "optimizer.nesterov=true"),
    ("detection", "schedule.name=step", "schedule.milestones=[7]"),
    ("detection", "schedule.name=step schedule.milestones=[7]", "schedule.gamma=0.5"),
    ("detection", "schedule.name=poly", "schedule.power=2.0"),
    ("detection", "schedule.name=cosine", "schedule.end_factor=0.1"),
    ("detection", "schedule.name=plateau training.eval_every=5", "schedule.patience=2"),
    ("detection", "schedule.name=plateau training.eval_every=5", "schedule.threshold=0.1"),
    ("detection", "schedule.warmup_steps=10", "schedule.warmup_factor=0.1"),
    ("detection", "schedule.warmup_error=0.8", "schedule.warmup_window=9"),
    ("detection", "model.backbone.weights=null", "model.backbone.zero_init_last=true"),
    ("detection", "data.val_fraction=0.1", "training.eval_every=5"),
    ("detection", "data.val_fraction=0.1 training.eval_every=5", "training.patience=3"),
    ("detection", "data.test=[test]", "training.best_metric=AP50"),
    ("detection", "model.layout=fpn", "model.fpn.channels=64"),
    ("detection", "model.layout=c4", "model.anchors.order=ratio"),
    ("detection", "model.layout=fpn", "model.roi.canonical_size=112"),
    ("detection", "model.layout=fpn", "model.roi.canonical_level=3"),
    ("detection", "model.layout=fpn", "model.roi.level_eps=0.1"),
    ("detection", "model.layout=dc5", "model.roi.head_convs=1"),
    ("detection", "model.layout=fpn model.roi.head_convs=1", "model.roi.head_conv_channels=64"),
    ("detection", "model.layout=fpn", "model.roi.head_fcs=1"),
    ("detection", "model.layout=fpn", "model.roi.head_fc_channels=64"),
    ("detection", "model.layout=fpn model.roi.head_convs=1", "model.roi.head_norm=batch"),
    ("detection", "model.rpn.box_loss.name=smooth_l1", "model.rpn.box_loss.beta=0.5"),
    ("detection", "model.roi.box_loss.name=smooth_l1", "model.roi.box_loss.beta=0.5"),
    ("detection", "data.val=[]", "data.val_fraction=0.2"),
    ("detection", "data.val_fraction=0.2", "data.val_groups=near_duplicates"),
    ("detection", "data.format=voc", "data.difficult=drop"),
    ("detection", "data.format=coco", "data.max_pixels=1000"),
    ("detection", "test.refine=1", "test.refine_nms=0.4"),
    ("detection", "test.refine=0", "test.nms=0.4"),
    ("detection", "test.scales=[400, 600]", "test.fusion=wbf"),
    ("detection", "test.flip=false", "test.batch=4"),
    ("classification", "data.val=[val]", "training.eval_every=5"),
    ("classification", "data.val=[val] training.eval_every=5", "training.patience=3"),
    ("classification", "data.val=[val]", "training.best_metric=top5_error"),
    ("classification", "data.format=webdataset", "data.images=100"),
    ("classification", "data.format=folder", "data.max_pixels=1000"),
    ("classification", "model.backbone.norm=batch", "training.recompute_norms=8"),
    ("classification", "data.cropping=scale", "data.shortest_side=300"),
    ("classification", "data.cropping=area", "data.area=[0.5, 1.0]"),
    ("classification", "data.cropping=area", "data.ratio=[0.5, 2.0]"),
    ("classification", "data.cropping=pad", "data.padding=2"),
    ("classification", "data.cropping=pad", "data.in_memory=false"),
    ("classification", "loss.name=bce loss.mixup=0.2", "loss.target_threshold=0.2"),
    ("classification", "test.crops=10", "test.crop=200"),
    ("classification", "test.crops=dense", "test.flip=true"),
    ("localization", "data.val=[val]", "training.eval_every=5"),
    ("localization", "data.val=[val] training.eval_every=5", "training.patience=3"),
    ("localization", "data.val=[val]", "training.best_metric=true_class_error"),
    ("localization", "model.stage=rpn", "model.anchors.ratios=[1.0]"),
    ("localization", "model.stage=rpn", "model.rpn.channels=64"),
    ("localization", "model.stage=rpn", "data.shortest_side=300"),
    ("localization", "model.stage=rpn", "data.visible=0.4"),
    ("localization", "model.stage=rcnn", "model.rcnn.positive_iou=0.6"),
    ("localization", "model.stage=rcnn", "test.proposals=100"),
    ("localization", "model.stage=rcnn", "test.nms=0.6"),
    ("localization", "model.rpn.box_loss.name=smooth_l1", "model.rpn.box_loss.beta=0.5"),
    ("localization", "model.stage=rcnn", "model.rcnn.box_loss.beta=0.5"),
]
# task, what makes it idle, the key.
IDLE = [
    ("detection", "optimizer.name=adamw", "optimizer.momentum=0.5"),
    ("detection", "optimizer.name=timm/nadamw", "optimizer.momentum=0.5"),
    ("detection", "optimizer.name=timm/rmsprop", "optimizer.betas=[0.5, 0.9]"),
    ("detection", "optimizer.name=timm/adan", "optimizer.betas=[0.5, 0.9]"),
    ("detection", "model.backbone.weights=null", "model.backbone.allow_mismatch=true"),
    ("localization", "model.backbone.weights=null", "model.backbone.allow_mismatch=true"),
    ("detection", "data.val=[]", "training.log_pictures=4"),
    ("detection", "data.format=shapes", "data.exif=false"),
    ("detection", "data.format=shapes", "data.strict=true"),
    ("detection", "optimizer.name=sgd", "optimizer.betas=[0.5, 0.9]"),
    ("detection", "optimizer.name=lamb", "optimizer.nesterov=true"),
    ("detection", "schedule.name=cosine", "schedule.milestones=[7]"),
    ("detection", "schedule.name=step", "schedule.gamma=0.5"),
    ("detection", "schedule.name=cosine", "schedule.power=2.0"),
    ("detection", "schedule.name=step", "schedule.end_factor=0.1"),
    ("detection", "schedule.name=step", "schedule.patience=2"),
    ("detection", "schedule.name=step", "schedule.threshold=0.1"),
    ("detection", "schedule.warmup_steps=0", "schedule.warmup_factor=0.1"),
    ("detection", "schedule.warmup_steps=10", "schedule.warmup_window=9"),
    ("detection", "model.backbone.weights=pretrained", "model.backbone.zero_init_last=true"),
    ("detection", "data.val=[]", "training.eval_every=5"),
    ("detection", "training.eval_every=null", "training.patience=3"),
    ("detection", "data.val=[]", "training.best_metric=AP50"),
    ("detection", "model.layout=c4", "model.fpn.channels=64"),
    ("detection", "model.layout=fpn", "model.anchors.order=ratio"),
    ("detection", "model.layout=c4", "model.roi.canonical_size=112"),
    ("detection", "model.layout=dc5", "model.roi.canonical_level=3"),
    ("detection", "model.layout=c4", "model.roi.level_eps=0.1"),
    ("detection", "model.layout=c4", "model.roi.head_convs=1"),
    ("detection", "model.layout=fpn", "model.roi.head_conv_channels=64"),
    ("detection", "model.layout=c4", "model.roi.head_fcs=1"),
    ("detection", "model.layout=c4", "model.roi.head_fc_channels=64"),
    ("detection", "model.layout=fpn", "model.roi.head_norm=batch"),
    ("detection", "model.rpn.box_loss.name=giou", "model.rpn.box_loss.beta=0.5"),
    ("detection", "model.roi.box_loss.name=giou", "model.roi.box_loss.beta=0.5"),
    ("detection", "data.val=[val]", "data.val_fraction=0.2"),
    ("detection", "data.val_fraction=0", "data.val_groups=near_duplicates"),
    ("detection", "data.format=yolo", "data.difficult=drop"),
    ("detection", "data.format=shapes", "data.max_pixels=1000"),
    ("detection", "test.refine=0", "test.refine_nms=0.4"),
    ("detection", "test.refine=1", "test.nms=0.4"),
    ("detection", "test.scales=[400]", "test.fusion=wbf"),
    ("detection", "test.flip=true", "test.batch=4"),
    ("detection", "test.vote=score", "test.batch=4"),
    ("classification", "data.val=[]", "training.eval_every=5"),
    ("classification", "training.eval_every=null", "training.patience=3"),
    ("classification", "data.val=[]", "training.best_metric=top5_error"),
    ("classification", "data.format=folder", "data.images=100"),
    ("classification", "data.format=cifar10", "data.max_pixels=1000"),
    ("classification", "model.backbone.norm=group", "training.recompute_norms=8"),
    ("classification", "data.cropping=area", "data.shortest_side=300"),
    ("classification", "data.cropping=scale", "data.area=[0.5, 1.0]"),
    ("classification", "data.cropping=pad", "data.ratio=[0.5, 2.0]"),
    ("classification", "data.cropping=area", "data.padding=2"),
    ("classification", "data.cropping=area", "data.in_memory=false"),
    ("classification", "loss.name=bce", "loss.target_threshold=0.2"),
    ("classification", "test.crops=dense", "test.crop=200"),
    ("classification", "test.crops=10", "test.flip=true"),
    ("localization", "data.val=[]", "training.eval_every=5"),
    ("localization", "training.eval_every=null", "training.patience=3"),
    ("localization", "data.val=[]", "training.best_metric=true_class_error"),
    ("localization", "model.stage=rcnn", "model.anchors.ratios=[1.0]"),
    ("localization", "model.stage=rcnn", "model.rpn.channels=64"),
    ("localization", "model.stage=rcnn", "data.shortest_side=300"),
    ("localization", "model.stage=rcnn", "data.visible=0.4"),
    ("localization", "model.stage=rpn", "model.rcnn.positive_iou=0.6"),
    ("localization", "model.stage=rpn", "test.proposals=100"),
    ("localization", "model.stage=rpn", "test.nms=0.6"),
    ("localization", "model.rpn.box_loss.name=giou", "model.rpn.box_loss.beta=0.5"),
    ("localization", "model.stage=rcnn model.rcnn.box_loss.name=giou", "model.rcnn.box_loss.beta=0.5"),
]


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return written


def config_with(path: Path, beside: str, key: str):
    overrides = [part for part in beside.replace(", ", ",").split(" ") if part]
    return load_config(path, [*overrides, key])


@pytest.mark.parametrize(("task", "beside", "said"), COUNTED)
def test_a_key_is_taken_where_it_counts(task: str, beside: str, said: str, write) -> None:
    config = config_with(write(f"task: {task}\n"), beside, said)
    assert why_idle(config, said.partition("=")[0]) is None


@pytest.mark.parametrize(("task", "beside", "said"), IDLE)
def test_a_key_that_changes_nothing_is_refused_with_the_reason_and_the_mend(
    task: str, beside: str, said: str, write
) -> None:
    with pytest.raises(ConfigError) as told:
        config_with(write(f"task: {task}\n"), beside, said)
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{said}: {said.partition('=')[0]} changes nothing here: ")
    assert ", and it counts with " in line
    assert line.endswith("; leave it out")


@pytest.mark.parametrize("task", SCHEMAS)
def test_every_condition_is_of_keys_that_there_are_and_is_tried_both_ways(task: str) -> None:
    known = {".".join(path) for path in all_keys(SCHEMAS[task])}
    for condition in CONDITIONS[task]:
        assert known.issuperset((*condition.keys, *condition.read))
        tasks = {each for each in SCHEMAS if condition in CONDITIONS[each]}
        for key in condition.keys:
            for cases in (COUNTED, IDLE):
                assert any(of in tasks and lies_in(said.partition("=")[0], key) for of, _, said in cases), key


def test_the_message_names_what_it_depends_on(write) -> None:
    with pytest.raises(ConfigError) as told:
        load_config(write("schedule: {name: cosine}\n"), ["schedule.milestones=[7]", "optimizer.betas=[0.5,0.9]"])
    assert str(told.value).splitlines() == [
        "schedule.milestones=[7]: schedule.milestones changes nothing here: schedule.name is cosine, and it counts "
        "with schedule.name=step; leave it out",
        "optimizer.betas=[0.5,0.9]: optimizer.betas changes nothing here: optimizer.name is sgd, and it counts with "
        "optimizer.name=adamw or lamb or a timm/NAME that has it; leave it out",
    ]


def test_a_file_s_key_without_effect_is_told_with_its_line_and_taken(write) -> None:
    path = write("schedule:\n  name: cosine\n  milestones: [7]\n")
    loaded = read_config(path)
    assert loaded.config.schedule.milestones == (7,)
    assert loaded.idle == (
        f"{path}: schedule.milestones changes nothing here: schedule.name is cosine, and it counts with "
        "schedule.name=step (line 3)",
    )
    assert read_config(path, ["schedule.name=step"]).idle == ()


def test_lengths_that_a_run_never_comes_to_are_told(write) -> None:
    path = write("training: {steps: 100}\nschedule: {milestones: [60, 100], warmup_steps: 99}\n")
    assert read_config(path).idle == ()
    assert read_config(path, ["training.steps=50", "schedule.warmup_steps=99"]).idle == (
        "schedule.warmup_steps=99: the run ends at training.steps=50, before the rate has grown to optimizer.lr=0.02",
    )  # The recipe's milestones are scaled.
    late = ["schedule.milestones=[100, 200]"]
    assert read_config(path, late).idle == (
        "schedule.milestones=[100, 200]: the run ends at training.steps=100, before the first of them, so the rate is "
        "never lowered",
    )
    assert read_config(path, ["schedule.milestones=[99, 200]"]).idle == ()
    assert read_config(path, ["test.nms=0.4"], use=in_evaluation("detection")).idle == ()
    assert read_config(write(dump_config(load_config(path, late)))).idle == ()


def test_an_override_may_leave_a_key_of_the_file_without_effect(write) -> None:
    path = write("schedule: {milestones: [7]}\n")
    (line,) = read_config(path, ["schedule.name=cosine"]).idle
    assert "schedule.milestones changes nothing here" in line


def test_what_a_run_dumped_is_read_without_a_word(write) -> None:
    for text in ("model: {layout: c4}\nschedule: {name: cosine, milestones: [7]}\n", "task: classification\n"):
        config = load_config(write(text))
        path = write(dump_config(config))
        assert read_config(path).idle == ()
        assert load_config(path) == config
        assert read_config(path, trusted=False).idle == ()


def test_to_take_a_key_back_is_no_request(write) -> None:
    path = write("data: {val: [val]}\nmodel: {layout: c4}\n")
    overrides = [
        "data.val_fraction=0.0",
        "optimizer.nesterov=false",
        "model.roi.head_norm=none",
        "optimizer.name=adamw",
    ]
    assert load_config(path, overrides).optimizer.name == "adamw"
    with pytest.raises(ConfigError, match=r"schedule\.power changes nothing"):
        load_config(path, ["schedule.power=0.9"])  # A default that asks for something.


def test_a_file_of_data_is_refused_as_well_and_layers_that_nobody_wrote_are_not() -> None:
    values = {"data": {"format": "yolo", "difficult": "drop"}}
    with pytest.raises(ConfigError, match=r"my\.yaml: data\.difficult changes nothing here: data\.format is yolo"):
        resolve([Layer("my.yaml", values, origin="set")])
    assert resolve([Layer("made", values)]).data.difficult == "drop"


@pytest.mark.parametrize("stem", [stem for stem, _, _ in list_configs()])
def test_no_config_that_came_with_detres_states_a_key_without_effect(stem: str) -> None:
    assert read_config(stem).idle == ()


USES = [
    (in_evaluation("detection"), "training.steps optimizer.lr schedule.name recipe data.augment data.difficult", True),
    (in_evaluation("detection"), "model.rpn.positive_iou model.roi.box_loss.beta model.backbone.weights", True),
    (in_evaluation("detection"), "training.precision test.nms model.rpn.post_nms_test data.root data.workers", False),
    (in_evaluation("classification"), "loss.mixup data.flip data.shortest_side model.drop_path", True),
    (
        in_evaluation("classification"),
        "data.crop data.cropping model.pixel_mean test.crops training.compile model.backbone.allow_mismatch",
        False,
    ),
    (in_evaluation("localization"), "model.stage model.anchors.sizes data.flip data.visible", True),
    (in_evaluation("localization"), "data.crop data.proposals test.classifier", False),
    (on_data_alone("model.anchors"), "test.nms training.batch model.layout", True),
    (on_data_alone("model.anchors"), "data.root data.augment model.anchors.sizes", False),
    (in_training_from_weights, "model.backbone.weights model.backbone.zero_init_last", True),
    (in_training_from_weights, "model.backbone.frozen_stages training.steps", False),
]


@pytest.mark.parametrize(("use", "keys", "idle"), USES)
def test_what_a_command_does_not_ask_is_known_by_its_key(use, keys: str, idle: bool) -> None:
    assert {key: bool(use(key)) for key in keys.split()} == dict.fromkeys(keys.split(), idle)


def test_a_use_refuses_what_was_said_for_it_and_no_other_layer(write) -> None:
    path = write("training: {steps: 7}\n")
    use = in_evaluation("detection")
    assert load_config(path, ["test.nms=0.4"], use=use).training.steps == 7
    with pytest.raises(ConfigError) as told:
        load_config(path, ["training.steps=5", "test.nms=0.4"], use=use)
    assert str(told.value) == ("training.steps=5: training.steps changes nothing here: it is of training; leave it out")


@pytest.mark.parametrize("task", SCHEMAS)
def test_what_only_training_reads_are_keys_that_there_are(task: str) -> None:
    known = {".".join(path) for path in all_keys(SCHEMAS[task])}
    assert known.issuperset(only_trained_by(task))
