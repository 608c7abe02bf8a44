"""bash: one function, whose words are lists in the script, so that nothing is started while somebody types."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from detres.commands.completing.words import Command, Option, Words, list_name

_SCRIPT = """\
# Completion of detres for bash: source <(detres completion bash)
_detres_configs={configs}
{keys}
_detres_values() {{
    case "$1" in
{values}
    esac
}}
_detres() {{
    # bash splits words at = and : as well; this splits at blanks alone.
    local line="${{COMP_LINE:0:COMP_POINT}}" words cur prev
    read -ra words <<< "$line"
    if [[ "$line" == *[[:space:]] ]]; then cur=""; else cur="${{words[-1]}}"; unset 'words[-1]'; fi
    prev="${{words[-1]}}"
    local options="" plain="" keys="" bare="" files=yes
    if (( ${{#words[@]}} == 1 )); then
        plain={commands} files=""
    else
        case "${{words[1]}} $prev" in
{behind_options}
        esac
        case "${{words[1]}}" in
{of_commands}
        esac
    fi
    _detres_offer
}}
# Sets COMPREPLY from what may stand at the cursor.
_detres_offer() {{
    COMPREPLY=()
    if [[ "$cur" == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
    elif [[ -n "$keys" && -z "$bare" && "$cur" == *=* ]]; then
        local key="${{cur%%=*}}" value="${{cur#*=}}"
        COMPREPLY=($(compgen -W "$(_detres_values "$key")" -- "$value"))
        # What may be any text may be a file.
        if (( ! ${{#COMPREPLY[@]}} )); then
            local IFS=$'\\n'
            COMPREPLY=($(compgen -f -- "$value"))
            compopt -o filenames 2> /dev/null
        fi
        [[ "$COMP_WORDBREAKS" == *=* ]] || COMPREPLY=("${{COMPREPLY[@]/#/$key=}}")
    else
        COMPREPLY=($(compgen -W "$plain" -- "$cur"))
        if [[ -n "$keys" && ( -n "$cur" || -n "$bare" ) ]]; then
            local found=($(compgen -W "$keys" -- "$cur"))
            if [[ -n "$bare" ]]; then COMPREPLY+=("${{found[@]}}")
            elif (( ${{#found[@]}} )); then COMPREPLY+=("${{found[@]/%/=}}"); compopt -o nospace 2> /dev/null; fi
        fi
        if [[ -n "$files" ]]; then
            local IFS=$'\\n' there
            there=($(compgen -f -- "$cur"))
            (( ${{#there[@]}} )) && {{ COMPREPLY+=("${{there[@]}}"); compopt -o filenames 2> /dev/null; }}
        fi
    fi
    return 0
}}
complete -F _detres detres
"""


def bash_script(words: Words) -> str:
    return _SCRIPT.format(
        configs=_quoted(words.configs),
        keys="\n".join(f"{list_name(tasks)}={_quoted(keys)}" for tasks, keys in words.keys.items()),
        values="\n".join(f"        {key}) echo {_quoted(spelled)} ;;" for key, spelled in words.spelled().items()),
        commands=_quoted(command.name for command in words.commands),
        behind_options="\n".join(
            f"            '{command.name} {option.flag}') {_behind(option)}; _detres_offer; return ;;"
            for command in words.commands
            for option in command.options
            if option.takes != "nothing"
        ),
        of_commands="\n".join(f"            {command.name}) {_of(command)} ;;" for command in words.commands),
    )


def _behind(option: Option) -> str:
    match option.takes:
        case "words":
            return f'plain={_quoted(option.words)} files=""'
        case "configs":
            return 'plain="$_detres_configs"'
        case "files":
            return "files=yes"
    return 'files=""'


def _of(command: Command) -> str:
    parts = [f"options={_quoted(option.flag for option in command.options)}"]
    if command.configs:
        parts.append('plain="$_detres_configs"')
    elif command.words:
        parts.append(f"plain={_quoted(command.words)}")
    if command.tasks:
        parts.append(f'keys="${list_name(command.tasks)}"')
    if command.bare_keys:
        parts.append("bare=yes")
    return " ".join([*parts, 'files=""'] if command.bare_keys or command.name == "completion" else parts)


def _quoted(words: Iterable[str]) -> str:
    return quote(" ".join(words))
