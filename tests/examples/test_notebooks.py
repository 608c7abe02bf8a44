"""The notebooks run from the first cell to the last, in small sizes, and show what their words promise.

They are committed without outputs: what they show is made anew here, and pictures in them would be new bytes in every
change. nbclient and ipykernel come with `pip install -e '.[test]'`.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
ROOT = EXAMPLES.parent

# In the kernel, before the first cell; its children, the commands, inherit it.
NO_NETWORK = """
import socket

def _refuse(self, address, *rest):
    if not isinstance(address, (str, bytes)) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the network was asked for: {address}")
    return _connect(self, address, *rest)

_connect = socket.socket.connect
socket.socket.connect = _refuse
"""


def cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a notebook; the texts and the kinds of pictures it shows."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'guard'}:{ROOT}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("DETRES_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("DETRES_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))

    def run(name: str, steps: int) -> tuple[str, int]:
        monkeypatch.setenv("DETRES_STEPS", str(steps))
        notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
        nbclient.NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(EXAMPLES)}}
        ).execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        assert not [output for output in outputs if output.output_type == "error"]
        texts = [output.text for output in outputs if output.output_type == "stream"]
        return "".join(texts), sum("image/png" in output.get("data", {}) for output in outputs)

    return run


def test_there_are_notebooks_and_they_are_kept_without_outputs() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == ["finetune_and_look", "reuse_backbones"]
    for notebook in NOTEBOOKS:
        code = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
        assert len(code) >= 8
        assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
        assert notebook.stat().st_size < 30_000


@pytest.mark.slow
def test_a_set_of_ones_own_is_checked_trained_on_measured_and_looked_at(shown) -> None:
    text, pictures = shown("finetune_and_look", steps=40)
    assert "54 images" in text, "all but the tenth"
    assert "disc" in text
    assert "the network was asked for" not in text
    measured = re.search(r"mAP50 (\d\.\d+)   AP (\d\.\d+)   on (\d+) images", text)
    assert measured, text
    assert int(measured[3]) == 6, "a tenth is set apart"
    assert float(measured[1]) > 0, "it has learned nothing"
    for kind in ("missed", "duplicate", "background"):
        assert re.search(rf"{kind}\s+\d+ times, costs", text), text
    assert len(re.findall(r"^ +(?:disc|square|nothing)(?: +\d+){3}$", text, flags=re.M)) == 3, text
    assert pictures == 5, "the curves, three comparisons, one of predictions"


@pytest.mark.slow
def test_backbones_are_looked_into_and_built_upon(shown) -> None:
    text, pictures = shown("reuse_backbones", steps=24)
    assert "c4: 256 channels, one cell every 16 pixels" in text
    assert "{'c4': 16, 'c5': 16}" in text
    assert float(re.search(r"largest difference in c2: (\S+)", text)[1]) < 1e-5
    before, after = map(float, re.search(r"right pixels: (\S+) before, (\S+) after 24", text).groups())
    assert after > before + 0.05
    learned = [float(number) for number in re.findall(r"frozen_stages=\d: +(\S+) million", text)]
    assert len(learned) == 4
    assert learned == sorted(set(learned), reverse=True)
    assert len(re.findall(r"^timm/\w+: \{'c2'", text, flags=re.M)) == 2
    assert pictures == 3, "images, maps, masks"


@pytest.mark.slow
def test_the_guard_against_the_network_can_fail() -> None:
    here: dict[str, Any] = {}
    connect = socket.socket.connect
    try:
        exec(NO_NETWORK, here)
        with pytest.raises(OSError, match="the network was asked for"):
            socket.create_connection(("192.0.2.1", 9), timeout=1)
    finally:
        socket.socket.connect = connect
