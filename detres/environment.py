"""What a result was obtained with: the device's name, and the versions of what computed it."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import torch

from detres.version import __version__

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "pycocotools",
    "faster-coco-eval",
    "albumentations",
    "opencv-python-headless",
)


def device_name(device: torch.device) -> str:
    """Such as `NVIDIA H200` or `AMD EPYC 9554`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def versions() -> dict[str, str]:
    """Of detres, Python and the packages that results depend on; those not installed are left out."""
    found = {"detres": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
