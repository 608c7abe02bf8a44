"""Print a script that makes a shell complete commands, options, configs, keys and their values after `detres`.

source <(detres completion bash)                                     in ~/.bashrc
source <(detres completion zsh)                                      in ~/.zshrc, after compinit
detres completion fish > ~/.config/fish/completions/detres.fish

All words stand in the script: nothing is started while you type. Make it anew after an update of detres.
"""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def run(arguments: argparse.Namespace) -> None:
    from detres.commands.completing.bash import bash_script
    from detres.commands.completing.fish import fish_script
    from detres.commands.completing.words import all_words
    from detres.commands.completing.zsh import zsh_script
    from detres.commands.main import COMMANDS

    write = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}[arguments.shell]
    print(write(all_words(COMMANDS)), end="")
