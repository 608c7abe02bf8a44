"""The paper's figures as data: every row can be planned, every figure has a column, sums add up."""

from __future__ import annotations

import pytest

from detres.config.loading import load_config, task_of
from detres.errors import ConfigError
from detres.reproduction.estimates import net_cost
from detres.reproduction.reproducing import choose_rows, table_named
from detres.reproduction.rows import SHORT, Cost, Row
from detres.reproduction.smoke import smoke_layers, stand_in_for
from detres.reproduction.tables import TABLES

ROWS = [(name, row) for name, table in TABLES.items() for row in table.rows]
STEMS = sorted({stem for _, row in ROWS for stem in (*row.configs, *(row.begins_with or "").split())})
CLASSIFIED = [(name, row) for name, row in ROWS if row.configs and task_of(row.configs[0]) == "classification"]


@pytest.mark.parametrize("stem", STEMS)
def test_every_row_is_a_config_that_smokes(stem: str) -> None:
    recipe = load_config(stem)
    smoked = load_config(stem, layers=smoke_layers(recipe))
    assert (smoked.task, smoked.data.format, smoked.training.steps) == (recipe.task, "shapes", 2)
    assert smoked.model.backbone.shortcut == recipe.model.backbone.shortcut
    assert getattr(smoked.model, "global_context", None) == getattr(recipe.model, "global_context", None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "row"), CLASSIFIED, ids=[f"{name}-{row.name}" for name, row in CLASSIFIED])
def test_what_can_be_counted_is_as_the_paper_counts(name: str, row: Row) -> None:
    cost = net_cost(load_config(row.configs[0]))
    ours = {SHORT["size"]: cost.parameters / 1e6, SHORT["costs"]: cost.multiply_adds / 1e9}
    for title in row.paper.keys() & ours.keys():
        assert ours[title] == pytest.approx(row.paper[title].value, abs=0.06)


def test_every_figure_of_an_own_table_has_its_column_there() -> None:
    # Figures 6 and 7 and degradation borrow their rows from table 6.
    for table in (TABLES[f"table{number}"] for number in range(1, 7)):
        titles = {column.title for column in table.columns}
        assert all(row.paper and set(row.paper) <= titles for row in table.rows)


def test_plain_and_residual_pairs_differ_in_their_shortcut_alone() -> None:
    plain, residual = (load_config(TABLES["table2"].rows[i].configs[0]) for i in (2, 3))
    assert net_cost(plain).parameters == net_cost(residual).parameters
    assert plain.optimizer == residual.optimizer
    assert plain.data == residual.data
    assert plain.schedule == residual.schedule


def test_nets_of_any_size_are_stood_in_for_by_one_of_their_kind() -> None:
    assert stand_in_for("resnet152") == "cifar10_resnet20"
    assert stand_in_for("plain34") == stand_in_for("cifar10_plain110") == "cifar10_plain20"
    assert stand_in_for("cifar10_resnet20") is None


def test_rows_are_chosen_by_name_or_config() -> None:
    table = TABLES["degradation"]
    assert choose_rows(table, ()) is table
    chosen = choose_rows(table, ["resnet-20", "cifar10_plain20", "cifar10_plain56"])
    assert [row.name for row in chosen.rows] == ["plain-20", "plain-56", "ResNet-20"]
    assert chosen.contrasts == (("plain-20", "plain-56"),)
    with pytest.raises(ConfigError, match="--only VGG: no row has this name or config; the rows are plain-20"):
        choose_rows(table, ["VGG"])


def test_an_unknown_table_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no table 'tabel2' to reproduce; did you mean table2"):
        table_named("tabel2")


def test_only_table_1_is_counted_alone() -> None:
    assert [name for name, table in TABLES.items() if table.is_counted] == ["table1"]
    assert all(isinstance(column.source, Cost) for column in TABLES["table1"].columns)
