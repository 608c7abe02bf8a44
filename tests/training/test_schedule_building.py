import pytest

from detres.errors import ConfigError
from detres.training.schedule_building import build_schedule


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("math:pi", "^schedule.name math:pi is a float, expected a function or a class"),
        ("math:sqrt", "^schedule.name math:sqrt: it raised TypeError"),
        (
            "builtins:repr",
            "^schedule.name builtins:repr: it made a str, which lacks lr_at, observe, measure",
        ),
    ],
)
def test_what_is_no_schedule_is_told_in_one_message(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_schedule(0.1, 10, name=name)


def test_an_option_that_the_schedule_has_not_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^schedule\.options\.hold: schedule cosine has no such parameter"):
        build_schedule(0.1, 10, name="cosine", options={"hold": 3})
    assert build_schedule(0.1, 10, name="cosine", options={"end_factor": 1.0}).lr_at(9) == 0.1
