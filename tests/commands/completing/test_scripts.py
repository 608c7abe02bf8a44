from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from detres.commands.completing.bash import bash_script
from detres.commands.completing.fish import fish_script
from detres.commands.completing.words import Words, all_words
from detres.commands.completing.zsh import zsh_script
from detres.commands.main import COMMANDS
from detres.config.finding import list_configs


@pytest.fixture(scope="module")
def words() -> Words:
    return all_words(COMMANDS)


@pytest.fixture(scope="module")
def script(words: Words, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("shell") / "detres.bash"
    file.write_text(bash_script(words))
    return file


def replies(script: Path, line: str, folder: Path) -> list[str]:
    """What bash would offer behind the line."""
    program = 'source "$1"; COMP_LINE="$2" COMP_POINT=${#2}; _detres; printf "%s\\n" "${COMPREPLY[@]}"'
    ended = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", str(script), line], cwd=folder, capture_output=True, text=True
    )
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("detres train_", ["train_cls", "train_det"]),
        ("detres ", list(COMMANDS)),
        ("detres train_det --c", ["--cfg"]),
        ("detres train_det --cfg coco_vgg", ["coco_vgg16"]),
        ("detres configs shapes_r18_", ["shapes_r18_fpn"]),
        ("detres configs --schema data", ["data", "data_classification"]),
        ("detres keys --task c", ["classification"]),
        ("detres eval_det --split ", ["train", "val", "test"]),
        ("detres train_det --cfg coco_r101 training.bat", ["training.batch="]),
        ("detres train_det model.layout=", ["c4", "dc5", "fpn"]),
        ("detres train_det --cfg coco_r101 model.layout=d", ["dc5"]),
        ("detres train_cls training.compile=", ["true", "false"]),
        ("detres train_cls model.layout", []),
        ("detres train_det loss.mix", []),
        ("detres keys optimizer.be", ["optimizer.betas"]),
        ("detres completion ", ["bash", "zsh", "fish"]),
        ("detres train_det --device ", []),
        ("detres nonsense --c", []),
    ],
)
def test_bash_offers_what_may_stand_there(script: Path, tmp_path: Path, line: str, offered: list[str]) -> None:
    assert replies(script, line, tmp_path) == offered


def test_files_are_offered_where_one_may_stand(script: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    for line in ("detres train_det --data mi", "detres train_det --cfg mi", "detres train_det data.root=mi"):
        assert replies(script, line, tmp_path) == ["mine.yaml"], line


def test_what_a_file_is_called_is_not_run(script: Path, tmp_path: Path) -> None:
    (tmp_path / "x$(touch ran)").touch()
    replies(script, "detres train_det --data x", tmp_path)
    replies(script, "detres train_det 'model.layout=$(touch ran)", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_words_are_those_of_the_parsers_and_the_configs(words: Words) -> None:
    assert [command.name for command in words.commands] == list(COMMANDS)
    assert words.configs == tuple(stem for stem, _, _ in list_configs())
    by_name = {command.name: command for command in words.commands}
    assert by_name["doctor"].tasks == ()
    assert by_name["train_cls"].tasks == ("classification",)
    takes = {option.flag: option.takes for option in by_name["train_det"].options}
    assert (takes["--cfg"], takes["--out"], takes["--resume"], takes["--device"]) == (
        *("configs", "files", "nothing", "value"),
    )


def test_no_command_at_all_is_a_script_too() -> None:
    assert "complete -F _detres detres" in bash_script(Words((), ()))


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_reads_its_script(words: Words, tmp_path: Path) -> None:
    (tmp_path / "_detres").write_text(zsh_script(words))
    subprocess.run(["zsh", "-f", "-n", tmp_path / "_detres"], check=True)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("detres train_", ["train_cls", "train_det"]),
        ("detres train_det --cfg coco_vgg", ["coco_vgg16"]),
        ("detres train_det model.layout=d", ["model.layout=dc5"]),
        ("detres keys optimizer.be", ["optimizer.betas"]),
    ],
)
def test_fish_offers_what_may_stand_there(words: Words, tmp_path: Path, line: str, offered: list[str]) -> None:
    (tmp_path / "detres.fish").write_text(fish_script(words))
    empty = tmp_path / "empty"  # Else its files are offered as well.
    empty.mkdir()
    program = f"source {tmp_path}/detres.fish; complete -C'{line}'"
    ended = subprocess.run(["fish", "--no-config", "-c", program], cwd=empty, capture_output=True, text=True)
    assert [answer.split("\t")[0] for answer in ended.stdout.splitlines()] == offered


def test_every_script_has_every_command_and_every_config(words: Words) -> None:
    for script in (bash_script(words), zsh_script(words), fish_script(words)):
        assert [name for name in (*COMMANDS, *words.configs) if name not in script] == []
