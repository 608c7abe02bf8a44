"""Show versions and devices, and what is wrong with this installation and how to mend it.

detres doctor
detres doctor runs/shapes_r18      of a run: which checkpoints are whole, which is used, what to do"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sysconfig
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from detres.version import __version__
from detres.words import number_of

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "pycocotools",
    "faster-coco-eval",
    "pydantic",
    "safetensors",
    "PyYAML",
    "packaging",
    "rich",
    "matplotlib",
    "tensorboard",
    "pillow",
    "numpy",
)
OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", nargs="?", type=Path, help="a run's folder, a checkpoint's or a weights file, to be read"
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.run is not None:
        from detres.tasks.run_examination import examine

        lines, problems = examine(arguments.run)
        print("\n".join(lines))
        return _told(problems)
    print(f"detres {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(f"{name} {installed_version(name) or 'MISSING'}" for name in PACKAGES))
    problems = missing_packages() + old_packages(own_requirements()) + torchvision_problems()
    problems += opencv_problems(installed_opencvs()) + opencv_abilities()
    if installed_version("torch"):
        print("\n".join(device_lines()))
        problems += gpu_problems() + compiler_problems()
    for variable, what in (("DETRES_DATASETS", "data sets"), ("DETRES_WEIGHTS", "downloaded weights")):
        print(f"{variable}: {os.environ.get(variable) or 'not set'} ({what})")
    return _told(problems)


def _told(problems: list[str]) -> int:
    """Print them; the exit status."""
    for problem in problems:
        print(f"PROBLEM  {problem}")
    print(f"{number_of(len(problems), 'problem')} found" if problems else "no problems found")
    return 2 if problems else 0


def installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def missing_packages() -> list[str]:
    missing = [name for name in PACKAGES if installed_version(name) is None]
    return [f"not installed: {', '.join(missing)}. Mend: pip install {' '.join(missing)}"] if missing else []


def own_requirements() -> list[str]:
    """What detres says it needs, as it was installed; nothing where it was not, or nothing can be compared."""
    if installed_version("packaging") is None:
        return []
    try:
        return metadata.requires("detres") or []
    except metadata.PackageNotFoundError:
        return []


def old_packages(requirements: Sequence[str]) -> list[str]:
    """Installed packages that are older, or newer, than one of these requirements allows; extras are left aside."""
    from packaging.requirements import Requirement

    problems = []
    for requirement in map(Requirement, requirements):
        installed = installed_version(requirement.name)
        if installed is None or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            problems.append(
                f"{requirement.name} {installed} is installed, but detres needs {requirement.specifier}. "
                f"Mend: pip install '{requirement.name}{requirement.specifier}'"
            )
    return problems


def torchvision_problems() -> list[str]:
    """A torchvision built for another torch loads, and fails at its first operator."""
    torch = installed_version("torch")
    if torch is None or installed_version("torchvision") is None:
        return []
    return mismatch(torch, metadata.requires("torchvision") or [])


def mismatch(torch: str, requirements: list[str]) -> list[str]:
    """torch: its version, perhaps with +cu130. requirements: torchvision's, of which one pins torch."""
    for requirement in requirements:
        name, _, pinned = requirement.partition("==")
        if name.strip() == "torch" and pinned.split(";")[0].strip() != torch.split("+")[0]:
            pinned = pinned.split(";")[0].strip()
            return [
                f"torchvision {installed_version('torchvision')} was built for torch {pinned}, but torch {torch} is "
                f"installed. Mend: pip install --upgrade torch torchvision"
            ]
    import torchvision.ops

    try:
        import torch as torch_module

        torchvision.ops.nms(torch_module.zeros(0, 4), torch_module.zeros(0), 0.5)
    except Exception as error:
        return [f"torchvision's operators do not load ({error}). Mend: pip install --force-reinstall torchvision"]
    return []


def installed_opencvs() -> list[str]:
    return [name for name in OPENCVS if installed_version(name)]


def opencv_problems(installed: list[str]) -> list[str]:
    if len(installed) < 2:
        return []
    return [
        f"{' and '.join(installed)} overwrite each other's cv2. Mend: pip uninstall -y {' '.join(installed)} "
        "&& pip install opencv-python-headless"
    ]


def opencv_abilities() -> list[str]:
    """What every image is read with, tried: another package's cv2, or an old one, passes by its name."""
    try:
        import cv2
        import numpy as np

        cv2.imdecode(cv2.imencode(".png", np.zeros((2, 2, 3), np.uint8))[1], cv2.IMREAD_COLOR_RGB)
    except Exception as error:
        return [f"OpenCV cannot read images ({error}). Mend: pip install --upgrade opencv-python-headless"]
    return []


def compiler_problems() -> list[str]:
    """torch.compile writes C++ for the CPU; without a compiler training.compile=true fails."""
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("g++", "clang++", "c++")), None)
    if compiler is None or shutil.which(compiler.split()[0]) is None:
        return ["no C++ compiler for torch.compile on the CPU. Mend: apt-get install g++ (all else runs without it)"]
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return ["no Python headers for torch.compile. Mend: apt-get install python3-dev (all else runs without them)"]
    return []


def gpu_problems() -> list[str]:
    from detres.devices import unsupported_gpus, unused_gpu

    unused = unused_gpu()
    return unsupported_gpus() if unused is None else [unused]


def device_lines() -> list[str]:
    import torch

    from detres.data.loading.usual_workers import cores
    from detres.words import number_of

    bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    there = f"{number_of(cores(), 'core')}, {number_of(torch.get_num_threads(), 'thread')}"
    lines = [f"CPU: {there}, {'fast' if bf16 else 'no fast'} bf16"]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bf16 = properties.major >= 8
        lines.append(
            f"cuda:{index}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, "
            f"{'fast' if bf16 else 'no fast'} bf16"
        )
    if not torch.cuda.is_available():
        lines.append(f"no CUDA device (torch was built for {torch.version.cuda or 'the CPU alone'})")
    return lines
