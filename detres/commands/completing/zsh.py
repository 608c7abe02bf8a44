"""zsh: the same lists as bash's; options and commands are shown with what they do."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from detres.commands.completing.words import Command, Option, Words, list_name

_SCRIPT = """\
#compdef detres
# Completion of detres for zsh: source <(detres completion zsh), after compinit; or as a file _detres of $fpath.
_detres_values() {{
    case "$1" in
{values}
    esac
}}
_detres() {{
    local -a commands options keys plain
    local files=yes bare=""
    local configs=({configs})
    commands=({commands})
    if (( CURRENT == 2 )); then _describe command commands; return; fi
    case "$words[2] $words[CURRENT-1]" in
{behind_options}
    esac
    case "$words[2]" in
{of_commands}
    esac
    if [[ "$PREFIX" == -* ]]; then _describe option options; return; fi
    if [[ -z "$bare" && "$PREFIX" == *=* ]]; then
        local -a values=(${{=$(_detres_values "${{PREFIX%%=*}}")}})
        compset -P '*='
        # What may be any text may be a file.
        compadd -a values || _files
        return
    fi
    (( $#plain )) && compadd -a plain
    if (( $#keys )); then if [[ -n "$bare" ]]; then compadd -a keys; else compadd -S = -a keys; fi; fi
    [[ -n "$files" ]] && _files
}}
{keys}
if [[ "$funcstack[1]" == _detres ]]; then _detres "$@"; else compdef _detres detres; fi
"""


def zsh_script(words: Words) -> str:
    return _SCRIPT.format(
        values="\n".join(
            f"        {key}) echo {quote(' '.join(values))} ;;" for key, values in words.spelled().items()
        ),
        configs=_quoted(words.configs),
        commands=_described((command.name, command.what) for command in words.commands),
        keys="\n".join(f"{list_name(tasks)}=({_quoted(keys)})" for tasks, keys in words.keys.items()),
        behind_options="\n".join(
            f"        '{command.name} {option.flag}') {_behind(option)}; return ;;"
            for command in words.commands
            for option in command.options
            if option.takes != "nothing"
        ),
        of_commands="\n".join(f"        {command.name}) {_of(command)} ;;" for command in words.commands),
    )


def _behind(option: Option) -> str:
    match option.takes:
        case "words":
            return f"compadd -- {_quoted(option.words)}"
        case "configs":
            return "compadd -a configs; _files -g '*.y(a|)ml'"
        case "files":
            return "_files"
    return ":"


def _of(command: Command) -> str:
    parts = [f"options=({_described((option.flag, option.help) for option in command.options)})"]
    if command.configs:
        parts.append("plain=($configs)")
    elif command.words:
        parts.append(f"plain=({_quoted(command.words)})")
    if command.tasks:
        parts.append(f"keys=(${list_name(command.tasks)})")
    if command.bare_keys:
        parts.append("bare=yes")
    return "; ".join([*parts, "files="] if command.bare_keys or command.name == "completion" else parts)


def _described(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(quote(f"{name}:{what}" if what else name) for name, what in pairs)


def _quoted(words: Iterable[str]) -> str:
    return " ".join(map(quote, words))
