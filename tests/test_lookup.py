import math
import sys

import pytest

from detres.lookup import Table, find, heeded, heeds
from detres.tables import BOX_LOSSES, OPTIMIZERS, SCHEDULES

TABLE = Table({"sqrt": "math:sqrt", "wave": "wave:open", "absent": "math:nothing", "lost": "no_such_module:f"})


def test_an_entry_is_imported_when_it_is_asked_for() -> None:
    sys.modules.pop("wave", None)
    assert "wave" in TABLE
    assert list(TABLE) == ["sqrt", "wave", "absent", "lost"]
    assert len(TABLE) == 4
    assert "wave" not in sys.modules
    assert TABLE["sqrt"](9) == 3
    assert TABLE["wave"].__module__ == "wave"
    assert "wave" in sys.modules


def test_a_name_that_is_none_of_the_tables_is_told_with_all_there_are() -> None:
    assert TABLE.check("wave") == "wave"
    assert TABLE.check("other", "other") == "other"
    with pytest.raises(ValueError, match=r"^got 'Sqr', expected one of sqrt, wave, absent, lost; did you mean sqrt\?$"):
        TABLE.check("Sqr")
    with pytest.raises(ValueError, match=r"^got 7, expected one of mine, sqrt, wave, absent, lost$"):
        TABLE.check(7, "mine")
    with pytest.raises(ValueError, match=r"^got 'x{76}\.\.\., expected one of"):
        TABLE.check("x" * 500)


def test_what_lies_nowhere_is_an_import_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        find("math:nothing")
    with pytest.raises(ImportError, match="no_such_module"):
        TABLE["lost"]
    with pytest.raises(KeyError):
        TABLE["of no table"]


def test_an_entry_gets_what_its_parameters_ask_for() -> None:
    def entry(plan: str, *, gamma: float, power: float = 1.0) -> None: ...

    offered = {"gamma": 0.1, "milestones": (3,), "power": 2.0}
    assert heeded(entry, offered) == {"gamma": 0.1, "power": 2.0}
    assert heeded(entry, {}) == {}


def test_an_entry_whose_parameters_nobody_knows_heeds_nothing() -> None:
    assert heeded(math.hypot, {"x": 1}) == {}
    assert not heeds(math.hypot, "x")


def test_who_heeds_a_parameter_is_read_from_the_source() -> None:
    for table, parameter in ((SCHEDULES, "gamma"), (OPTIMIZERS, "momentum"), (BOX_LOSSES, "beta")):
        assert table.heeding(parameter) == [name for name in table if heeds(table[name], parameter)]
    assert Table({"sqrt": "math:sqrt", "search": "re:search"}).heeding("flags") == ["search"]
    assert SCHEDULES.heeding("no such parameter") == []
