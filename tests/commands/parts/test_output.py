"""What becomes of a command whose output cannot be written."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from detres.commands.parts.output import Output, forgiving_output
from detres.errors import tell

ROOT = Path(__file__).parents[2]
SPEAKS = "from detres.commands.parts.output import forgiving_output\nwith forgiving_output() as output:\n    "


class Failing(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error, self.tried = error, 0

    def write(self, text):
        self.tried += 1
        raise self.error


def test_a_reader_that_went_away_is_let_go_in_silence():
    stream, say = Failing(BrokenPipeError(32, "Broken pipe")), io.StringIO()
    output = Output(stream, say=say)
    for _ in range(3):
        print("a line", file=output, flush=True)
    assert (stream.tried, output.lost, say.getvalue()) == (1, False, "")


def test_a_full_disk_below_the_output_is_said_once():
    stream, say = Failing(OSError(28, "No space left on device")), io.StringIO()
    output = Output(stream, say=say)
    for _ in range(3):
        print("a line", file=output, flush=True)
    assert (stream.tried, output.lost) == (1, True)
    said = "warning: what is printed cannot be written: No space left on device; nothing more is\n"
    assert say.getvalue() == said


@pytest.mark.parametrize(
    ("text", "ascii_bytes"),
    [
        ("64×96 – a “dash”…", b'64x96 - a "dash"...'),
        ("café", rb"caf\xe9"),
        ("猫", rb"\u732b"),
        ("caf\udce9.jpg", rb"caf\xe9.jpg"),
    ],
)
def test_characters_that_the_terminal_lacks_are_spelled(monkeypatch, text, ascii_bytes):
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with forgiving_output():
        print(text)
    assert written.getvalue().strip() == ascii_bytes
    assert stream.errors == "strict"


def test_a_warning_of_ours_is_one_line_and_others_stay_as_they_are(capsys):
    with forgiving_output():
        tell("a disk is full")
        with pytest.warns(UserWarning, match="another"):
            warnings.warn("another", UserWarning, stacklevel=1)
    assert capsys.readouterr() == ("", "warning: a disk is full\n")


def run(code, shell_end, **environment):
    command = f'"{sys.executable}" -c "$CODE" {shell_end}'
    shared = os.environ | {"PYTHONPATH": str(ROOT), "CODE": SPEAKS + code} | environment
    return subprocess.run(["bash", "-c", command], env=shared, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_a_program_whose_reader_went_away_does_the_rest_in_silence(tmp_path):
    code = f"[print(i, flush=True) for i in range(9999)]; open({str(tmp_path / 'done')!r}, 'w')"
    done = run(code, "| head -1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    assert (tmp_path / "done").exists()


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_program_may_be_started_without_any_output(tmp_path, closed):
    """The first file that is opened is then no output."""
    file = tmp_path / "file"
    code = f"""import os, sys
    stream = open({str(file)!r}, "w")
    print("to stdout", flush=True); print("to stderr", file=sys.stderr, flush=True)
    os.write(1, b"low"); os.write(2, b"low"); stream.write(str(sys.stdout.isatty()))"""
    done = run(code, closed)
    assert done.returncode == 0
    assert file.read_text() == "False"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no disk that is always full")
def test_what_a_full_disk_swallowed_is_an_error_of_a_command_that_only_prints():
    code = "import sys; from detres.commands.main import main; sys.exit(main(['configs']))"
    shared = os.environ | {"PYTHONPATH": str(ROOT), "CODE": code}
    command = f'"{sys.executable}" -c "$CODE" > /dev/full'
    done = subprocess.run(["bash", "-c", command], env=shared, capture_output=True, text=True, timeout=120)
    said = "warning: what is printed cannot be written: No space left on device; nothing more is\n"
    assert (done.returncode, done.stderr) == (2, said)
