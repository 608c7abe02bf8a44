import os
import signal
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

HOLD_WITH_A_CHILD = """import os, pathlib, sys, time
from detres.training.run_lock import only_run_in
with only_run_in(pathlib.Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_killed_holder_s_orphans_do_not_keep_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_WITH_A_CHILD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        child = int(holder.stdout.readline())
        try:
            holder.kill()
            holder.wait()
            os.kill(child, 0)  # It lives on, as a loader worker does until it notices.
            with only_run_in(tmp_path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_it_can_be_held_again_once_it_was_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with only_run_in(tmp_path):
            pass
