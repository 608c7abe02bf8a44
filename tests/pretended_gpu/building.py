"""Builds the runtime that has one CUDA device, once, and says with what environment a process finds it."""

from __future__ import annotations

import site
import subprocess
from pathlib import Path
from shutil import which

HERE = Path(__file__).parent


def headers() -> Path | None:
    """Where the CUDA build of torch has brought its headers; None where it is another build."""
    for folder in site.getsitepackages():
        for file in Path(folder).glob("nvidia/**/cuda_runtime_api.h"):
            return file.parent
    return None


def missing() -> str | None:
    """What a machine lacks to pretend a device; None: nothing."""
    if which("gcc") is None:
        return "no C compiler"
    found = headers()
    if found is None:
        return "no CUDA headers"
    return None if _drivers_headers(found).is_dir() else "no headers of the driver"


def build(folder: Path) -> dict[str, str]:
    """Compile into the folder; what a process's environment has to say besides."""
    found = headers()
    assert found is not None, "`missing` was asked first"
    stub = folder / "stub"
    stub.mkdir(parents=True)
    include = [f"-I{found}", f"-I{_drivers_headers(found)}"]
    for source, result in (("driver.c", stub / "libcuda.so.1"), ("runtime.c", folder / "runtime.so")):
        command = ["gcc", "-w", "-shared", "-fPIC", *include, "-o", result, HERE / source, "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
    return {"LD_LIBRARY_PATH": str(stub), "LD_PRELOAD": str(folder / "runtime.so")}


def _drivers_headers(runtime: Path) -> Path:
    return runtime / "../../../triton/backends/nvidia/include"
