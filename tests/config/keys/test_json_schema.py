from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel

from detres.config.finding import list_configs
from detres.config.keys.json_schema import NAMES, is_group, json_schema
from detres.config.loading import load_config
from detres.config.problems import all_keys
from detres.config.yaml_dialect import read_yaml
from detres.data.data_file import load_data_file
from detres.errors import ConfigError
from detres.tables import LOGGERS, SCHEMAS

VALIDATORS = {name: Draft7Validator(json_schema(name)) for name in NAMES}


def stated(text: str) -> Any:
    values, _ = read_yaml(text, "a test")
    return values


def complaints(name: str, text: str) -> list[str]:
    return [error.message for error in VALIDATORS[name].iter_errors(stated(text))]


def meaning_of(schema: type[BaseModel], path: tuple[str, ...]) -> str:
    owner: Any = schema
    for part in path[:-1]:
        owner = owner.model_fields[part].annotation
    return " ".join((owner.model_fields[path[-1]].description or "").split())


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_one_of_draft_7_without_references(name: str) -> None:
    schema = json_schema(name)
    Draft7Validator.check_schema(schema)
    text = json.dumps(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert not any(f'"{word}"' in text for word in ("$ref", "$defs", "prefixItems"))


@pytest.mark.parametrize("task", SCHEMAS)
def test_every_key_says_what_it_means_and_not_its_name_again(task: str) -> None:
    silent = []
    for path in all_keys(SCHEMAS[task]):
        meaning = meaning_of(SCHEMAS[task], path).lower().strip(".")
        name = path[-1].replace("_", " ")
        if meaning in ("", name, f"the {name}", f"a {name}") or not meaning_of(SCHEMAS[task], path).endswith("."):
            silent.append(".".join(path))
    assert silent == []


@pytest.mark.parametrize("task", SCHEMAS)
def test_a_schema_has_every_key_with_its_meaning_and_the_default_of_its_task(task: str) -> None:
    whole, usual = json_schema(task), SCHEMAS[task]().model_dump(mode="json")
    for path in all_keys(SCHEMAS[task]):
        node, default = whole, usual
        for part in path:
            node, default = node["properties"][part], default[part]
        assert node["description"] == meaning_of(SCHEMAS[task], path)
        assert is_group(node) == isinstance(default, dict) or path[-1] == "options"
        if not is_group(node):
            assert node["default"] == default
            assert Draft7Validator(node).is_valid(default), path


def test_defaults_are_those_of_the_task() -> None:
    batches = {task: json_schema(task)["properties"]["training"]["properties"]["batch"]["default"] for task in SCHEMAS}
    assert batches == {"detection": 16, "classification": 256, "localization": 256}


@pytest.mark.parametrize(
    ("stem", "path"), [(stem, path) for stem, _, path in list_configs()], ids=lambda each: str(each)
)
def test_every_config_that_ships_fits_the_schema_of_its_task(stem: str, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert complaints(load_config(path).task, text) == []


SHORT_FORMS = [
    ("detection", "data: {train: x.json, val: y.json}"),
    ("detection", "data: {shortest_side: 480}"),
    ("detection", "test: {vote: true}"),
    ("detection", "test: {vote: null, scales: 600}"),
    ("detection", "training: {logs: csv}"),
    ("detection", "training: {logs: mine.logs:Telegram}"),
    ("detection", "training: {logs: [json, mine.logs:Telegram]}"),
    ("detection", "training: {eval_every: 1 epoch, checkpoint_every: 500}"),
    ("detection", "schedule: {milestones: [8 epochs, 90 %], warmup_steps: 5%}"),
    ("detection", "schedule: {name: mine.rates:saw, options: {teeth: 3}}"),
    ("detection", "data: {format: mine.reading:load}"),
    ("detection", "model: {backbone: {name: mine.nets:build}, layout: c4}"),
    ("detection", "model: {rpn: {box_loss: {name: mine.losses:diou}}}"),
    ("detection", "optimizer: {name: timm/lion, lr: 1e-3}"),
    ("detection", "model:\ndata:\ntraining:"),
    ("detection", "data: {augment: [{HorizontalFlip: {p: 0.5}}, {mine.looks:Blur: {}}]}"),
    ("classification", "task: classification\ndata: {shortest_side: 256, train: train}"),
    ("classification", "task: classification\ntest: {crops: dense, scales: 256}"),
    ("classification", "task: classification\ntest: {crops: 10, scales: null}"),
    ("localization", "task: localization\ntest: {scales: 256}\ndata: {shortest_side: [256, 480]}"),
]


@pytest.mark.parametrize(("task", "text"), SHORT_FORMS)
def test_every_short_form_that_a_config_takes_fits(tmp_path: Path, task: str, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert load_config(file).task == task
    assert complaints(task, text) == []


WRONG = [
    ("detection", "optimizer: {momentun: 0.9}"),
    ("detection", "modle: {}"),
    ("detection", "model: {layout: c6}"),
    ("detection", "model: {roi: {codec_weights: [1, 2, 3]}}"),
    ("detection", "model: {rpn: {nms: 1.5}}"),
    ("detection", "data: {train: 3}"),
    ("detection", "data: {shortest_side: []}"),
    ("detection", "data: {shortest_side: 0}"),
    ("detection", "data: {format: kokos}"),
    ("detection", "training: {steps: 0}"),
    ("detection", "training: {steps: 1.5}"),
    ("detection", "training: {eval_every: 1 hour}"),
    ("detection", "training: {logs: [jsn]}"),
    ("detection", "optimizer: {name: adam}"),
    ("detection", "optimizer: {betas: [0.9, 1.0]}"),
    ("detection", "test: {vote: twice}"),
    ("detection", "test: {fusion: [nms]}"),
    ("detection", "task: segmentation"),
    ("classification", "task: classification\nmodel: {layout: fpn}"),
    ("classification", "task: classification\ntest: {crops: 5}"),
    ("classification", "task: classification\ndata: {shortest_side: [256]}"),
    ("localization", "task: localization\nmodel: {stage: fast}"),
]


@pytest.mark.parametrize(("task", "text"), WRONG)
def test_what_a_config_refuses_does_not_fit(tmp_path: Path, task: str, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_config(file)
    assert len(complaints(task, text)) > 0


def test_a_config_of_another_task_than_detection_has_to_say_so() -> None:
    assert complaints("classification", "test: {crops: 10}") == ["'task' is a required property"]
    assert complaints("detection", "{}") == []


@pytest.mark.parametrize(
    "text",
    [
        "format: coco\nroot: .\ntrain: train.json\nval_fraction: 0.1",
        "format: voc\ntrain: [2007/trainval, 2012/trainval]\nval:\ntest: 2007/test",
        "format: shapes\nshortest_side: 480\nclasses: [disc]",
    ],
)
def test_a_file_for_data_fits_as_it_is_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    load_data_file(file)
    assert complaints("data", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "format: mine.reading:load\ntrain: x",
        "format: coco\naugment: [{mine.looks:Blur: {}}]",
        "format: coco\ntrian: x",
        "data: {format: coco}",
        "format: coco\nclasses: disc",
    ],
)
def test_a_file_for_data_that_is_refused_does_not_fit(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_data_file(file)
    assert len(complaints("data", text)) > 0


def test_a_classification_set_has_a_schema_of_its_own() -> None:
    assert complaints("data_classification", "format: webdataset\ntrain: a-{000..146}.tar\nimages: 1281167") == []
    assert len(complaints("data_classification", "format: coco")) > 0
    assert len(complaints("data", "format: webdataset")) > 0


def test_names_of_a_table_are_all_offered() -> None:
    node = json_schema("detection")["properties"]["training"]["properties"]["logs"]
    assert node["anyOf"][1]["enum"] == list(LOGGERS)
