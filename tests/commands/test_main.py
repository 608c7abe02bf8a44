import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import detres.commands.configs
from detres.commands.main import main
from detres.errors import DataError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(monkeypatch):
    """Let `detres configs` do something else."""
    return lambda act: monkeypatch.setattr(detres.commands.configs, "run", lambda arguments: act())


def raising(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize(
    ("number", "file", "said"),
    [
        (errno.ENOSPC, None, "UserError: No space left on device; make room there, and repeat"),
        (errno.EDQUOT, "/q/a", "UserError: /q/a: Disk quota exceeded; make room or ask for a larger quota, and repeat"),
        (errno.EACCES, "/a", "UserError: /a: Permission denied; mend the permission, or name another place"),
        (errno.EROFS, b"/a", "UserError: /a: Read-only file system; name a place that can be written"),
        (errno.EMFILE, None, "UserError: Too many open files; raise the limit (ulimit -n), or set fewer data.workers"),
        (errno.EIO, "/a", "UserError: /a: Input/output error; the disk, or the way to it, fails; see the system's log"),
    ],
)
def test_what_the_machine_refuses_is_one_message(command, capsys, number, file, said):
    command(raising(OSError(number, os.strerror(number), file)))
    assert main(["configs"]) == 2
    assert capsys.readouterr() == ("", f"{said}\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), ""),
        (MemoryError("std::bad_alloc"), " (std::bad_alloc)"),
        (RuntimeError("can't start new thread"), " (can't start new thread)"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: 9 bytes\n0"
            ),
            " (can't allocate memory: 9 bytes)",
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you"), " (not enough memory: you)"),
        (RuntimeError("could not create a primitive"), " (could not create a primitive)"),
        (
            ImportError("libtorch_cuda.so: failed to map segment from shared object"),
            " (libtorch_cuda.so: failed to map segment from shared object)",
        ),
        (
            OSError("a.so: failed to map segment from shared object"),
            " (a.so: failed to map segment from shared object)",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), " ([Errno 12] Cannot allocate memory)"),
    ],
)
def test_memory_that_ends_is_one_message_whoever_says_so(command, capsys, error, said):
    command(raising(error))
    assert main(["configs"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"UserError: not enough memory{said}; a limit (ulimit -v, ulimit -u, the container's) or")
    assert told.count("\n") == 1


@pytest.mark.parametrize("words", ["CUDA out of memory. Tried to allocate 2 GiB", "CUDA error: not enough memory"])
def test_the_memory_of_a_device_is_another(command, words):
    command(raising(RuntimeError(words)))
    with pytest.raises(RuntimeError, match=words):
        main(["configs"])


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "no file is named"), OSError(errno.EBADF, "x"), FileNotFoundError(2, "x", "y")]
)
def test_a_bug_keeps_its_traceback(command, error):
    command(raising(error))
    with pytest.raises(OSError, match=error.strerror) as caught:
        main(["configs"])
    assert caught.value is error


def test_a_mistake_is_told_with_its_kind(command, capsys):
    command(raising(DataError("a.tar: cannot be read\n  copy it again")))
    assert main(["configs"]) == 2
    assert capsys.readouterr().err == "DataError: a.tar: cannot be read\n  copy it again\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_command_that_is_asked_to_stop_says_so_in_a_line(command, capsys, name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    command(lambda: os.kill(os.getpid(), number))
    assert main(["configs"]) == 130
    assert capsys.readouterr() == ("", f"interrupted by {name}\n")
    assert signal.getsignal(number) == before


def test_what_a_library_makes_of_the_signal_does_not_matter(command, capsys):
    def turned():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            raise ImportError("initialization failed") from None

    command(turned)
    assert main(["configs"]) == 130
    assert capsys.readouterr().err == "interrupted by SIGTERM\n"


def test_the_second_signal_does_not_break_off_what_is_tidied_up(command, capsys):
    tidied = []

    def act():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            tidied.append(True)

    command(act)
    assert main(["configs"]) == 130
    assert tidied


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize("to_group", [True, False], ids=["group", "process"])
def test_a_command_may_be_stopped_while_it_imports_its_libraries(tiny, tmp_path, name, to_group):
    started = subprocess.Popen(
        [sys.executable, "-m", "detres", "train_det", "--cfg", str(tiny.cfg), "--out", str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    libraries = Path(f"/proc/{started.pid}/maps")
    while "libtorch" not in libraries.read_text() and started.poll() is None:
        time.sleep(0.01)
    (os.killpg if to_group else os.kill)(started.pid, getattr(signal, name))
    assert started.communicate(timeout=60) == ("", f"interrupted by {name}\n")
    assert started.returncode == 130


@pytest.mark.slow
def test_a_signal_while_a_library_is_imported_is_not_raised_through_it(run_python, tmp_path):
    """Some abort where an exception passes through their initialization."""
    (tmp_path / "slow_library.py").write_text(
        "import os, signal\ntry: os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException: os.abort()\n"
    )
    code = (
        "import sys, detres.commands.configs as configs; from detres.commands.main import main\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "configs.run = lambda arguments: __import__('slow_library')\n"
        "sys.exit(main(['configs']))"
    )
    done = run_python("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted by SIGTERM\n")


@pytest.mark.slow
def test_reading_the_command_line_needs_no_torch(run_python):
    told = run_python("-c", "import detres.commands.main, sys; print('torch' in sys.modules)")
    assert told.stdout == "False\n"


def test_code_that_leaves_the_process_does_so_with_a_word(command, capsys):
    command(raising(SystemExit(3)))
    assert main(["configs"]) == 2
    assert re.match(r"UserError: configs ended by SystemExit: 3 \(.*\.py:\d+\); mend the code", capsys.readouterr().err)
    with pytest.raises(SystemExit):
        main(["configs", "--help"])
