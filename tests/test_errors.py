"""What messages show of what files hold."""

from detres.errors import ConfigError, UserError, kind_of, readable, spelled_out


def test_a_message_is_itself() -> None:
    assert str(ConfigError("a.yaml: model.layout is unknown\n  b … 猫 café")) == (
        "a.yaml: model.layout is unknown\n  b … 猫 café"
    )


def test_a_kind_has_its_article() -> None:
    assert [kind_of(value) for value in (3, "x", [], None)] == ["an int", "a str", "a list", "a NoneType"]


def test_a_name_of_megabytes_is_cut_between_what_comes_before_and_behind() -> None:
    told = str(UserError(f"a.json: {'x' * 5_000_000} is no class; rename it\nnext"))
    assert len(told) < 1300
    assert told.startswith("a.json: xxx")
    assert told.endswith("is no class; rename it\nnext")


def test_a_terminal_is_given_no_commands() -> None:
    assert readable("a\x1b[31mb\x07\tc\x7f") == "a\\x1b[31mb\\x07\\tc\\x7f"
    assert readable("a\x9b31mb\x80 é") == "a\\x9b31mb\\x80 é"
    assert readable("ca\u202et \u2066\u200f مرحبا") == "ca\\u202et \\u2066\\u200f مرحبا"
    assert spelled_out("x" * 5000 + "\u202e") == "x" * 5000 + "\\u202e"
    assert readable("name \udcff of no encoding") == "name \udcff of no encoding"
