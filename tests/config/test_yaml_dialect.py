import pytest

from detres.config.yaml_dialect import read_yaml, write_yaml
from detres.errors import ConfigError


def test_plain_values_are_those_of_yaml_1_2():
    values, _ = read_yaml(
        "a: 1e-3\nb: no\nc: 12:30\nd: 90_000\ne: ~\nf: true\ng: .5\nh: 010\ni: 2012-01-01\nj: -3\nk: 1.\nl: 5E+2", "x"
    )
    assert values == {
        "a": 0.001,
        "b": "no",
        "c": "12:30",
        "d": 90000,
        "e": None,
        "f": True,
        "g": 0.5,
        "h": "010",
        "i": "2012-01-01",
        "j": -3,
        "k": 1.0,
        "l": 500.0,
    }
    assert isinstance(values["a"], float)


def test_lines_are_counted_from_one_for_every_key():
    _, lines = read_yaml("# first\na:\n  b: 1\nc: [{d: 2}]\n", "x")
    assert lines == {("a",): 2, ("a", "b"): 3, ("c",): 4, ("c", "0", "d"): 4}


def test_an_empty_text_states_nothing():
    assert read_yaml("# only a comment\n", "x") == (None, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml: a stands twice, at lines 1 and 3"),
        ("g:\n  k: 1\n  k: 1\n", "f.yaml: g.k stands twice, at lines 2 and 3"),
        ("a: [1\n", "f.yaml: this is no YAML: .*line 2"),
        ("a: !!python/object:os.system 1\n", "f.yaml: this is no YAML"),
        ("1: a\n", "f.yaml: a key must be a name, got '1'"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_with_its_line(text, said):
    with pytest.raises(ConfigError, match=said):
        read_yaml(text, "f.yaml")


@pytest.mark.parametrize("text", ["1e-3", "true", "null", "", "12", "a: b", "no", "größe", " x"])
def test_text_that_looks_like_something_else_survives_writing(text):
    value = {"k": text, "list": [text, 1, None, 1e-7, {"n": [0.1]}], "group": {}}
    assert read_yaml(write_yaml(value), "x")[0] == value
