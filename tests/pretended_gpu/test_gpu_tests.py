"""The tests of tests/gpu on the pretended device: that they, and what they test, are right but for the card's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pretended_gpu import building

ROOT = Path(__file__).parents[2]
FILES = sorted(file.name for file in (ROOT / "tests/gpu").glob("test_*.py"))

pytestmark = pytest.mark.skipif(building.missing() is not None, reason=f"pretends a CUDA device: {building.missing()}")


def run(folder: Path, file: str) -> str:
    """What pytest says in the end of that file's tests."""
    environment = os.environ | building.build(folder / "runtime")
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    options = ("-p", "tests.pretended_gpu.plugin", "-p", "no:cacheprovider", "-q", "-rs", f"--basetemp={folder}/temp")
    command = [sys.executable, "-m", "pytest", *options, "-m", "gpu", f"tests/gpu/{file}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_passes_on_the_pretended_device(name: str, tmp_path: Path) -> None:
    assert "passed" in (told := run(tmp_path, name)) or "skipped" in told
