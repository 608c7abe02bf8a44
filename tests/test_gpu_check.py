"""The check of a machine with a GPU runs whole on the CPU, at toy sizes: every step, and every row of the benchmark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "gpu_check.sh"

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("timeout") is None, reason="needs bash and GNU's timeout"
)


def check(out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    values = os.environ | {"OUT": str(out), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable} | environment
    return subprocess.run(["bash", str(SCRIPT), *arguments], env=values, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_step_passes_at_toy_sizes(tmp_path: Path) -> None:
    done = check(tmp_path, "--tiny")
    logs = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in (tmp_path / "logs").glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["passed"], summary["complete"], summary["tiny"]) == (True, True, True)
    names = [step["name"] for step in summary["steps"]]
    assert names == ["doctor", "tests", "benchmark", "training", "resume", "eval", "predict"]
    assert all((tmp_path / step["log"]).is_file() for step in summary["steps"])
    rows = json.loads((tmp_path / "benchmark.json").read_text())
    assert rows["complete"]
    assert {row["state"] for row in rows["rows"]} == {"measured"}
    assert all(row.get("passed", True) for row in rows["rows"])
    assert len(list((tmp_path / "predictions").glob("*.jpg"))) == 4


@pytest.mark.slow
def test_a_step_that_fails_is_told_and_fails_the_check(tmp_path: Path) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho no interpreter\nexit 3\n")
    interpreter.chmod(0o755)
    done = check(tmp_path / "out", GPU_CHECK_TINY="1", PYTHON=str(interpreter))
    assert done.returncode == 1
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["passed"], summary["complete"]) == (False, True)
    assert {step["state"] for step in summary["steps"]} == {"failed"}
    assert "doctor: failed" in done.stdout
    assert "    no interpreter" in done.stdout


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    done = check(tmp_path / "out", "--tyni")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "--tyni is no option" in done.stderr
