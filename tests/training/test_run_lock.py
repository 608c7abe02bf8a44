import subprocess
import sys
from pathlib import Path

import pytest

from detres.errors import ConfigError
from detres.training.run_lock import only_run_in

HOLD = """import pathlib, sys
from detres.training.run_lock import only_run_in
with only_run_in(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_one_process_s_until_it_ends_however_it_does(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="another process is training"), only_run_in(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with only_run_in(tmp_path):
        pass


def test_it_can_be_held_again_once_it_was_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with only_run_in(tmp_path):
            pass
