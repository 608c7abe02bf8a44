"""Code is named by the user's own config and command line, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detres.config.code_names import code_names, without_code
from detres.config.loading import Layer, load_config, read_override, resolve
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
ALL = (LOGS, LOG, AUGMENT, NESTED, BACKBONE, PIPE, HIDDEN_PIPE, JOINED_PIPE, PROGRAM, QUOTED)


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
    both = {"model": {"backbone": {"name": "os:system", "norm": "batch"}}, **AUGMENT}
    assert without_code(both) == {"model": {"backbone": {"norm": "batch"}}, "data": {}}
    assert without_code({"training": {"logs": ["os:system"], "steps": 3}}) == {"training": {"steps": 3}}
