import pytest

from detres.config.yaml_bounds import MOST_CHARACTERS, MOST_VALUES
from detres.config.yaml_dialect import read_yaml, read_yaml_1_1, write_yaml
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


def _bomb(reference: str) -> str:
    levels = (f"a{i}: &a{i} {reference.format(', '.join([f'*a{i - 1}'] * 10))}\n" for i in range(1, 10))
    return "a0: &a0 {x: 1}\n" + "".join(levels)


@pytest.mark.slow
@pytest.mark.parametrize("read", [read_yaml, read_yaml_1_1])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_bomb("[{}]"), r"with its aliases .* \(line [56]\)"),
        (_bomb("{{<<: [{}]}}"), r"with its aliases .* \(line [56]\)"),
        ("b: 1\na: &a [*a]\n", r"an alias stands for what it lies in itself \(line 2\)"),
        ("a: &a {b: {c: *a}}\n", "an alias stands for what it lies in itself"),
        ("[" * 100_000, r"more than 64 deep .* \(line 1\)"),
        ("- " * 10_000 + "x", "more than 64 deep"),
        ("? " * 10_000 + "x", "more than 64 deep"),
        ("a: " + "9" * 30, "beyond the whole numbers of 64 bits"),
        ("b:\na: -" + "9" * 5000, r"beyond the whole numbers of 64 bits \(line 2\)"),
        ("a: 1" + "0" * 400 + ".0", "too many digits"),
        ("a: !!binary aGk=", "tags such as !!binary are not read"),
        ("a: !!python/name:os.system x", "tags such as !!python/name:os.system"),
        ("a: !mine x", "tags such as !mine"),
        ("a: 1\nb: \0", r"the character '\\x00' \(line 2\)"),
        ("a: \ud800", "the character"),
        ('b: 1\na: "\\ud800"', r"half a character.* \(line 2\)"),
        ("a: 1\nb: 2\na: 3\n", "a stands twice, at lines 1 and 3"),
        ("? [a]\n: 1\n", r"\(line 1\)"),
        ("x" * (MOST_CHARACTERS + 1), "at most 2,000,000 are read"),
    ],
)
def test_what_would_cost_more_than_its_text_is_refused_with_its_line(read, text, said):
    with pytest.raises(ConfigError, match=f"^f.yaml: .*{said}"):
        read(text, "f.yaml")


@pytest.mark.slow
def test_more_values_than_any_file_of_ours_has_are_refused():
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        read_yaml("- x\n" * (MOST_VALUES + 1), "f.yaml")


def test_honest_aliases_and_merges_are_read():
    assert read_yaml("a: &a [1, 2]\nb: *a\nc: {d: *a}\n", "x")[0] == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\n"
    read = read_yaml_1_1(text, "x")
    assert read == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2, "z": 4}}


def test_other_tools_files_are_read_as_they_read_them_but_for_dates():
    assert read_yaml_1_1("names: {0: a, 1: b}\nd: 2020-01-01\nbad: 2020-13-45\n=: 1\nn: no\n", "x") == {
        "names": {0: "a", 1: "b"},
        "d": "2020-01-01",
        "bad": "2020-13-45",
        "=": 1,
        "n": False,
    }
