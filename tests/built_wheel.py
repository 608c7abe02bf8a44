"""detres as packagers build it, for the tests that look at what a machine without the clone gets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Of a clone; what is not there (the tests' own data, environments) belongs to neither archive.
INGREDIENTS = (
    *("detres", "configs", "docs", "examples", "tests", "tools", "MANIFEST.in", "pyproject.toml", "setup.py"),
    *("README.md", "CHANGELOG.md", "LICENSE", "Makefile", "hubconf.py"),
)


def build(source: Path, out: Path, options: Sequence[str] = ("--wheel",)) -> None:
    """Build into `out`; options: of `python -m build`. source: an empty folder for a copy, for building leaves folders
    behind.
    """
    for name in INGREDIENTS:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, source / name)
    command = [sys.executable, "-m", "build", *options, "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def install(wheel: Path, site: Path) -> None:
    """Unpack a wheel into a folder for PYTHONPATH, as pip does; its dependencies are this environment's."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    done = subprocess.run([*command, "--target", site, wheel], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
