"""fish: a line for each thing that may be completed, with what it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from detres.commands.completing.words import Command, Option, Words, list_name


def fish_script(words: Words) -> str:
    lines = ["# Completion of detres for fish: detres completion fish | source"]
    lines += [f"set -g {list_name(tasks)} {_quoted(_with_values(keys))}" for tasks, keys in words.keys.items()]
    lines += [
        f"set -g __detres_configs {_quoted(words.configs)}",
        "function __detres_is",
        "    set -l said (commandline -opc)",
        '    test (count $said) -gt 1; and test "$said[2]" = $argv[1]',
        "end",
        "complete -c detres -e",
    ]
    for command in words.commands:
        lines.append(
            "complete -c detres -f -n 'test (count (commandline -opc)) -eq 1' "
            f"-a {_quote(command.name)} -d {_quote(command.what)}"
        )
        lines += _of(command)
    return "\n".join(lines) + "\n"


def _of(command: Command) -> Iterator[str]:
    start = f"complete -c detres -n '__detres_is {command.name}'"
    for option in command.options:
        yield f"{start} -l {option.flag.removeprefix('--')}{_behind(option)} -d {_quote(option.help)}"
    if command.configs:
        yield f"{start} -a '$__detres_configs'"
    if command.words:
        yield f"{start} -a {_quote(' '.join(command.words))}"
    if command.tasks:
        bare = r" | string replace -r '=.*' '' | uniq" if command.bare_keys else ""
        listed = f"(string join -- \\n ${list_name(command.tasks)}{bare})"
        yield f"{start} -a {_quote(listed)}"
    if command.bare_keys or command.name == "completion":
        yield f"{start} -f"


def _behind(option: Option) -> str:
    match option.takes:
        case "words":
            return f" -x -a {_quote(' '.join(option.words))}"
        case "configs":
            return " -r -a '$__detres_configs'"
        case "files":
            return " -r"
        case "value":
            return " -x"
    return ""


def _with_values(keys: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for key, values in keys.items():
        yield f"{key}="
        yield from (f"{key}={value}" for value in values)


def _quoted(words: Iterable[str]) -> str:
    return " ".join(map(_quote, words))


def _quote(text: str) -> str:
    """Between quotes fish takes everything as it stands but these two."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
