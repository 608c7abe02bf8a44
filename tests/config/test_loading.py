from pathlib import Path

import pytest

from detres.config import finding, loading
from detres.config.detection_schema import Config
from detres.config.finding import find_config, list_configs
from detres.config.loading import (
    Layer,
    dump_config,
    load_config,
    read_config,
    read_override,
    refuse_wrong_values,
    resolve,
)
from detres.errors import ConfigError
from detres.tables import SCHEDULES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A clone's folder with two configs, from within which things are run."""
    (tmp_path / "configs" / "coco").mkdir(parents=True)
    (tmp_path / "configs/coco/coco_r50.yaml").write_text(
        "# A paper, table 1: 30 AP.\noptimizer:\n  lr: 0.02\ntraining: {batch: 16, steps: 1000}\nmodel:\n"
    )
    (tmp_path / "configs/coco/coco_r101.yaml").write_text("model: {backbone: {name: resnet101}}\n")
    monkeypatch.setattr(finding, "config_folder", lambda: tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> str:
    (folder / "configs/coco/mine.yaml").write_text(text)
    return "mine"


def problems(*args) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(*args)
    return str(caught.value).splitlines()


def test_a_config_is_found_by_its_stem_and_by_its_path(folder):
    assert load_config("coco_r101").model.backbone.name == "resnet101"
    assert load_config("configs/coco/coco_r101.yaml") == load_config("coco_r101")
    assert load_config("coco_r101").recipe == "coco_r101"


def test_a_file_states_only_what_differs(folder):
    config = load_config("coco_r50")
    assert config.model == Config().model
    assert config.training.steps == 1000
    assert load_config(write(folder, "")) == Config(recipe="mine")


def test_an_unknown_name_gets_the_nearest_stems(folder):
    assert problems("coco_r5O") == [
        "--cfg coco_r5O: there is no config of this name below configs; did you mean coco_r50 or coco_r101?"
    ]
    assert "detres configs" in problems("zzz")[0]
    assert "no such file" in problems("other/coco_r50.yaml")[0]


def test_two_files_of_one_stem_are_refused(folder):
    (folder / "configs/coco_r50.yaml").write_text("")
    assert "several files" in problems("coco_r50")[0]


def test_an_unknown_key_gets_the_nearest_name_and_its_line(folder):
    name = write(folder, "optimizer:\n  momentun: 0.9\n")
    assert problems(name) == [
        "configs/coco/mine.yaml: optimizer.momentun is unknown; did you mean optimizer.momentum? (line 2)"
    ]


@pytest.mark.parametrize(
    ("value", "said"), [("[]", "at least 1 value"), ("0", "at least 1"), ("[640,-800]", "got -800")]
)
def test_images_are_not_resized_to_nothing(folder, value, said):
    (line,) = problems("coco_r50", [f"data.shortest_side={value}"])
    assert "data.shortest_side" in line
    assert said in line


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lr", "optimizer.lr"),
        ("training.lr", "optimizer.lr"),
        ("optimiser", "optimizer"),
        ("training.workers", "data.workers"),
        ("schedule.momentum", "optimizer.momentum"),
        ("model.rpn.postnms_test", "model.rpn.post_nms_test"),
    ],
)
def test_the_nearest_key_is_sought_in_all_groups(folder, key, meant):
    (line,) = problems("coco_r50", [f"{key}=1"])
    assert line == f"{key}=1: {key} is unknown; did you mean {meant}?"


def test_a_key_like_no_other_gets_what_its_group_takes(folder):
    assert problems("coco_r50", ["optimizer.zzz=1"])[0].endswith(
        "optimizer takes name, lr, momentum, betas, nesterov, weight_decay, norm_weight_decay"
    )


def test_all_problems_are_told_at_once_each_with_its_source(folder):
    name = write(folder, "optimizer: {lr: -1e-3}\nschedule:\n  milestones: 3\n  name: cosin\ntest: 3\n")
    assert set(problems(name, ["training.batch=2.5", "model.layout=x", "data.wrkers=3"])) == {
        "configs/coco/mine.yaml: optimizer.lr: got -0.001, expected a number above 0.0 (line 1)",
        "configs/coco/mine.yaml: schedule.milestones: got 3, expected a list in brackets (line 3)",
        f"configs/coco/mine.yaml: schedule.name: got 'cosin', expected one of {', '.join(SCHEDULES)}, "
        "or module:callable; did you mean cosine? (line 4)",
        "configs/coco/mine.yaml: test: got 3, expected a group of keys (line 5)",
        "training.batch=2.5: training.batch: got 2.5, expected a whole number",
        "model.layout=x: model.layout: got 'x', expected one of c4, dc5, fpn",
        "data.wrkers=3: data.wrkers is unknown; did you mean data.workers?",
    }


def test_values_that_contradict_each_other_are_told(folder):
    (line,) = problems("coco_r50", ["training.per_device_batch=3"])
    assert line.endswith("training.batch=16 is no multiple of training.per_device_batch=3")


def test_a_contradiction_is_located_where_one_of_its_keys_was_stated_last(folder):
    (line,) = problems("coco_r50", ["training.per_device_batch=3", "data.workers=1"])
    assert line.startswith("training.per_device_batch=3: ")
    rpn = ["model.rpn.negative_iou=0.8", "training.steps=7"]
    assert problems("coco_r50", rpn)[0].startswith("model.rpn.negative_iou=0.8: ")


def test_a_batch_may_be_smaller_than_what_a_device_can_take(folder):
    config = load_config("coco_r50", ["training.per_device_batch=4", "training.batch=2"])
    assert (config.training.batch, config.training.per_device_batch) == (2, 4)


def test_overrides_are_read_as_yaml_and_win_in_order(folder):
    config = load_config(
        "coco_r50", ["optimizer.lr=1e-3", "optimizer.lr=2e-3", "schedule.milestones=[6, 8]", "data.root=a=b"]
    )
    assert config.optimizer.lr == 2e-3
    assert config.schedule.milestones == (6, 8)
    assert config.data.root == "a=b"
    assert load_config("coco_r50", ["training.keep_every="]).training.keep_every is None


def test_a_list_of_one_may_stand_alone_where_that_is_usual(folder):
    config = load_config("coco_r50", ["data.train=a.json", "data.shortest_side=480"])
    assert (config.data.train, config.data.shortest_side) == (("a.json",), (480,))


@pytest.mark.parametrize("text", ["optimizer.lr", "=3", "optimizer..lr=3"])
def test_what_is_no_override_is_told(folder, text):
    assert problems("coco_r50", [text]) == [f"{text}: this is no override; write key=value, such as optimizer.lr=0.02"]


def test_layers_lie_between_the_file_and_the_overrides(folder):
    layer = Layer("--data x.yaml", {"data": {"root": "there", "workers": 5}})
    config = load_config("coco_r50", ["data.workers=7"], layers=[layer])
    assert (config.data.root, config.data.workers) == ("there", 7)
    with pytest.raises(ConfigError, match=r"^--data x.yaml: data.rot is unknown; did you mean data.root\?$"):
        load_config("coco_r50", layers=[Layer("--data x.yaml", {"data": {"rot": 1}})])


def test_a_batch_that_is_set_scales_the_recipe_but_nothing_else_does(folder):
    loaded = read_config("coco_r50", ["training.batch=4"])
    assert [str(s) for s in loaded.scaled] == ["optimizer.lr: 0.02 -> 0.005", "training.steps: 1000 -> 4000"]
    assert read_config("coco_r50", ["training.batch=16"]).scaled == ()
    assert read_config("coco_r50", ["training.steps=7"]).config.training.steps == 7
    assert read_config("coco_r50", ["training.batch=4", "training.steps=7"]).config.training.steps == 7


def test_a_dumped_config_loads_to_an_equal_one(folder):
    config = load_config("coco_r50", ["training.batch=4", "model.class_names=['1e-3', no, ü]", "data.augment=[]"])
    (folder / "config.yaml").write_text(dump_config(config))
    assert load_config("config.yaml") == config


def test_configs_are_listed_with_their_first_line(folder):
    assert [(stem, first) for stem, first, _ in list_configs()] == [
        ("coco_r101", ""),
        ("coco_r50", "A paper, table 1: 30 AP."),
    ]


def test_the_shipped_configs_have_stems_of_their_own_and_a_first_line():
    found = list_configs()
    assert len({stem for stem, _, _ in found}) == len(found)
    assert all(first for _, first, _ in found)
    assert all(find_config(stem) == path for stem, _, path in found)


def test_no_layer_at_all_is_the_defaults():
    assert resolve([]) == Config()


def test_a_config_of_classification_is_read_by_its_own_schema_with_its_own_defaults(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("task: classification\ntraining: {precision: bf16}\n")
    config = loading.load_config(path, ["loss.smoothing=0.1"])
    assert (config.task, config.training.batch, config.optimizer.lr) == ("classification", 256, 0.1)
    assert config.training.precision == "bf16"
    assert config.loss.smoothing == 0.1
    assert resolve([loading.Layer("dump", loading.read_yaml(loading.dump_config(config), "dump")[0])]) == config


def test_a_key_of_another_task_is_refused_and_a_task_that_is_none_too():
    with pytest.raises(ConfigError, match="roi"):
        resolve([loading.Layer("mine", {"task": "classification", "model": {"roi": {"pool": 7}}})])
    with pytest.raises(ConfigError, match="task: got 'classify', expected one of detection, classification"):
        resolve([loading.Layer("mine", {"task": "classify"})])


def test_an_optimizer_that_is_none_and_warm_ups_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="name: got 'lam', expected one of sgd, adamw, lamb, or timm/NAME"):
        resolve([loading.Layer("mine", {"optimizer": {"name": "lam"}})])
    with pytest.raises(ConfigError, match="warmup_steps and warmup_error are both set"):
        resolve([loading.Layer("mine", {"schedule": {"warmup_steps": 3, "warmup_error": 0.8}})])


def test_a_plateau_needs_evaluations():
    plateau = {"schedule": {"name": "plateau"}}
    with pytest.raises(ConfigError, match=r"schedule\.name=plateau waits for evaluations; set training\.eval_every"):
        resolve([loading.Layer("mine", plateau)])
    resolve([loading.Layer("mine", {**plateau, "training": {"eval_every": 5}})])


def test_contradictions_of_a_classification_config_are_refused():
    def problem(**groups):
        with pytest.raises(ConfigError) as caught:
            resolve([loading.Layer("mine", {"task": "classification", **groups})])
        return str(caught.value)

    assert "loss.target_threshold is a choice of loss.name=bce" in problem(loss={"target_threshold": 0.2})
    odd = problem(loss={"mixup": 0.2}, training={"batch": 6, "per_device_batch": 3})
    assert "mix images in pairs, and a device takes 3 at once" in odd


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.precision=fp32", r"training\.precision: got 'fp32', expected one of float32, bf16, float16"),
        ("training.epochss=3", "training.epochss is unknown; did you mean training.epochs?"),
        ("training.batch=two", "training.batch: got 'two', expected a whole number"),
        ("schedule.warmup_steps=110 %", "expected 100 % of the run at most"),
    ],
)
def test_a_value_that_no_set_makes_right_is_refused_before_one_is_read(text, message):
    with pytest.raises(ConfigError, match=message):
        refuse_wrong_values("detection", [read_override(text)])


def test_what_depends_on_other_keys_waits_for_them():
    for text in ("data.difficult=positive", "model.backbone.output_stride=16", "schedule.name=plateau"):
        refuse_wrong_values("detection", [read_override(text)])
    refuse_wrong_values("classification", [])
