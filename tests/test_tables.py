"""Every entry of every table is there, and is what the table says."""

from typing import get_args

import pytest

import detres.tables as tables
from detres.backbones.architectures import BACKBONES
from detres.backbones.network import Network
from detres.backbones.norms import Norm
from detres.config.detection_schema import Config
from detres.data.formats.format import Format
from detres.lookup import Table, find
from detres.training.schedules import Rates

TABLES = {name: table for name, table in vars(tables).items() if isinstance(table, Table)}


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, names in TABLES.items() for name in names])
def test_every_entry_is_where_the_table_says(table: str, name: str) -> None:
    assert TABLES[table][name] is not None


@pytest.mark.parametrize("table", ["DETECTION_FORMATS", "CLASSIFICATION_FORMATS", "LOCALIZATION_FORMATS"])
def test_formats_load(table: str) -> None:
    for entry in TABLES[table].values():
        assert isinstance(entry, Format)
        assert callable(find(entry.load) if isinstance(entry.load, str) else entry.load)
        assert entry.class_names is None or len(set(entry.class_names())) == len(entry.class_names())


def test_every_architecture_names_a_network_that_says_what_it_has() -> None:
    for own in BACKBONES.values():
        network = find(own.network)
        assert issubclass(network, Network)
        assert network.anchors
        assert network.class_layer


def test_every_schedule_begins_at_the_recipes_rate() -> None:
    for entry in tables.SCHEDULES.values():
        assert entry(Rates(0.5, 10)).lr_at(0) == 0.5


def test_every_task_is_in_each_table_of_tasks() -> None:
    assert set(tables.SCHEMAS) == set(tables.TRAININGS) == set(tables.DRY_RUNS) == set(tables.EVALUATIONS)
    for task, schema in tables.SCHEMAS.items():
        assert schema().task == task
    assert get_args(Config.model_fields["task"].annotation) == ("detection",)


def test_types_for_callers_list_the_same_norms() -> None:
    assert get_args(Norm) == tuple(tables.NORMS)
