"""Code is named by the user's own config and command line, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detres.config.code_names import CodeName, code_names, without_code
from detres.config.loading import SCHEMAS, Layer, layer_of, load_config, read_override, resolve
from detres.config.problems import all_keys
from detres.errors import ConfigError

AUGMENT = {"data": {"augment": [{"os:system": {"command": "true"}}]}}
NESTED = {"data": {"augment": [{"OneOf": {"transforms": [{"os:system": {"command": "true"}}]}}]}}
BACKBONE = {"model": {"backbone": {"name": "os:system"}}}
PIPE = {"task": "classification", "data": {"format": "webdataset", "train": ["a-{0..1}.tar", "pipe:touch x"]}}
HIDDEN_PIPE = {"task": "classification", "data": {"val": ["{pip,pipe}{e,}:touch x"]}}
JOINED_PIPE = {"task": "classification", "data": {"train": "a.tar::pipe:touch x"}}
PROGRAM = {"task": "classification", "data": {"train": ["gs://bucket/a.tar"]}}
QUOTED = {"task": "classification", "data": {"train": ["https://x/a.tar';touch x;'"]}}
LOGS = {"training": {"logs": ["json", "os:system"]}}
LOG = {"training": {"logs": "os:system"}}
LOSS = {"model": {"rpn": {"objectness_loss": {"name": "os:system", "options": {"command": "true"}}}}}
LOCALIZER_LOSS = {"task": "localization", "model": {"rcnn": {"box_loss": {"name": "os:system"}}}}
ALL = (LOGS, LOG, LOSS, LOCALIZER_LOSS, AUGMENT, NESTED, BACKBONE, PIPE, HIDDEN_PIPE, JOINED_PIPE, PROGRAM, QUOTED)


@pytest.mark.parametrize("values", ALL)
def test_a_layer_of_others_names_no_code(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"theirs.yaml: \S+ names code to run"):
        resolve([Layer("theirs.yaml", values)])


@pytest.mark.parametrize("values", ALL)
def test_the_users_own_layer_may(values: dict[str, Any]) -> None:
    resolve([Layer("mine.yaml", values, trusted=True)])


@pytest.mark.parametrize("values", ALL)
def test_what_the_user_states_as_well_is_his(values: dict[str, Any]) -> None:
    resolve([Layer("mine.yaml", values, trusted=True), Layer("theirs", values)])


def test_other_arguments_of_the_users_own_code_are_not_his() -> None:
    theirs = {"data": {"augment": [{"os:system": {"command": "false"}}]}}
    with pytest.raises(ConfigError, match="names code to run"):
        resolve([Layer("mine.yaml", AUGMENT, trusted=True), Layer("theirs", theirs)])


def test_options_of_others_for_the_users_own_loss_are_not_his() -> None:
    own = Layer("mine.yaml", LOSS, trusted=True)
    key = "model.rpn.objectness_loss.options"
    with pytest.raises(ConfigError, match="names code to run"):
        resolve([own, Layer("theirs", {"model": {"rpn": {"objectness_loss": {"options": {"command": "false"}}}}})])
    config = resolve([own, read_override(f"{key}.command=false"), read_override(f"{key}.more=1")])
    assert config.model.rpn.objectness_loss.options == {"command": False, "more": 1}


@pytest.mark.parametrize("task", ["detection", "localization"])
def test_every_loss_that_a_config_names_is_asked_whose_code_it_is(task: str) -> None:
    groups = [path for path in all_keys(SCHEMAS[task]) if path[-1].endswith("_loss")]
    assert groups
    for path in groups:
        assert code_names(layer_of("theirs", path, {"name": "os:system"}).values) == [CodeName(path, "os:system", "{}")]


def test_code_of_others_that_is_replaced_does_not_matter() -> None:
    resolve([Layer("theirs", AUGMENT), read_override("data.augment=[]")])


def test_an_override_and_a_named_file_are_the_users_and_a_runs_file_is_not(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("data: {augment: [{'os:system': {command: x}}]}\n", encoding="utf-8")
    load_config(file)
    load_config(file, ["model.backbone.name=mine:net"])
    with pytest.raises(ConfigError, match=r"names code to run.*\(line 1\)"):
        load_config(file, trusted=False)
    load_config(file, ["data.augment=[{'os:system': {command: x}}]"], trusted=False)


@pytest.mark.parametrize(
    "values",
    [
        {"data": {"train": ["a/{000..100}.tar"], "augment": [{"HorizontalFlip": {"p": 0.5}}]}},
        {"data": {"train": ["annotations.json:images"], "augment": "a:b"}},
        {"data": {"train": ["https://host/a-{000..100}.tar?x=1&y=2"]}},
        {"model": {"backbone": {"name": "timm/resnet18"}}},
        {"model": {"backbone": 3}, "data": [1]},
        {"training": {"logs": ["json", 3, {"a": "b:c"}]}},
        {"training": {"logs": 3}},
        None,
    ],
)
def test_other_values_name_none(values: Any) -> None:
    assert code_names(values) == []


def test_code_is_taken_out_and_the_rest_stays() -> None:
    loss = {"name": "os:system", "options": {"command": "true"}, "weight": 2.0}
    model = {"backbone": {"name": "os:system", "norm": "batch"}, "rpn": {"convs": 2, "box_loss": loss}}
    kept = {"model": {"backbone": {"norm": "batch"}, "rpn": {"convs": 2}}, "data": {}}
    assert without_code({"model": model, **AUGMENT}) == kept
    assert without_code({"training": {"logs": ["os:system"], "steps": 3}}) == {"training": {"steps": 3}}
