import pytest

from detres.files.strict_json import parse_json


def test_values_come_back() -> None:
    assert parse_json('{"a": [1, 2.5, null, true, "x"], "b": {}}') == {"a": [1, 2.5, None, True, "x"], "b": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 41 + "]" * 41, "more than 40 deep"),
        ('{"a":' * 100_000, "more than 40 deep"),
        ("NaN", "NaN where a number belongs"),
        ("[-Infinity]", "-Infinity where a number belongs"),
        ("1e999", "beyond any number"),
        ("9" * 5000, "4300 digits"),
        ('"' + "x" * (4 << 20) + '"', "expected 4194304 at most"),
        ("{", "Expecting"),
    ],
)
def test_what_no_program_can_hold_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)
