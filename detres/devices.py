"""What computes here, and in which precision: in words, and why a GPU that is there is not used, or not well."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import torch

from detres.environment import device_name
from detres.errors import ConfigError
from detres.precision import PRECISIONS, Precision

HALVES: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "float16": torch.float16}


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which a model computes so on a device."""
    return torch.autocast(device.type, HALVES.get(precision, torch.bfloat16), enabled=precision in HALVES)


def has_bf16(device: torch.device) -> bool:
    """Whether the device itself computes in it; a CPU without is no slower for it than in float32."""
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def check_precision(precision: str, device: torch.device, key: str = "precision") -> None:
    """Raise ConfigError for what is no precision, and for one that the device has not.

    key: what the user calls it.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"{key} is {precision!r}, expected {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")
    if precision == "bf16" and not has_bf16(device):
        name = device_name(device)
        raise ConfigError(f"{key}=bf16: {name} has none and would be slower than in float32; take {key}=float16")
    if precision == "float16" and device.type == "cpu":
        raise ConfigError(f"{key}=float16: a CPU is many times slower in it than in float32; take {key}=bf16")


def described(device: torch.device, ranks: int = 1) -> str:
    """For a run's first line: `cuda:0, NVIDIA H200, 141 GiB` or `cpu, AMD EPYC 9554, 2 threads`."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        alone = f"{device}, {device_name(device)}, {memory:.0f} GiB"
    else:
        threads = torch.get_num_threads()
        alone = f"{device}, {device_name(device)}, {threads} thread{'s' if threads > 1 else ''}"
    return alone if ranks == 1 else f"{alone}; {ranks} ranks"


def unused_gpu(root: Path = Path("/")) -> str | None:
    """Why torch uses no NVIDIA GPU though there is one, with the mend; None where there is none, or it may be used.

    root: of the file system, which says whether there is one. A GPU that CUDA_VISIBLE_DEVICES hides is not missed.
    """
    if torch.cuda.is_available() or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    version = root / "proc/driver/nvidia/version"
    if not version.is_file() and not any((root / "dev").glob("nvidia[0-9]*")):
        return None
    if torch.version.cuda is None:
        return (
            f"an NVIDIA GPU is there, but torch {torch.__version__} was built for the CPU alone, and computes on it. "
            "Mend: pip install --upgrade --force-reinstall torch torchvision, in a build for CUDA"
        )
    return (
        f"an NVIDIA GPU is there, but torch {torch.__version__}, built for CUDA {torch.version.cuda}, cannot use it"
        f"{_driver(version)}{_torchs_reason()}, and computes on the CPU. Mend: a newer driver (nvidia-smi says the "
        "newest CUDA that it knows), or a torch that was built for an older CUDA"
    )


def _driver(version: Path) -> str:
    if not version.is_file():
        return ", for its driver is not loaded"
    found = re.search(r"\b\d+\.\d+(?:\.\d+)?\b", version.read_text(encoding="utf-8", errors="replace"))
    return f" with its driver {found[0]}" if found else ""


def _torchs_reason() -> str:
    """What torch says as it looks for devices, its first sentence."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:
            told_at_last = str(error)
        else:
            return ""
    reason = str(told[0].message) if told else told_at_last
    return f" ({reason.splitlines()[0].split('. ')[0].strip().rstrip('.')})"


def unsupported_gpus() -> list[str]:
    """Problems of the GPUs that torch sees: kernels that this build has not, and bf16 that the card has not."""
    problems = []
    built = torch.cuda.get_arch_list()
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        name = f"cuda:{index}, {torch.cuda.get_device_name(index)}, has compute capability {major}.{minor}"
        if built and not _runs(built, major, minor):
            problems.append(
                f"{name}, and torch {torch.__version__} was built for {', '.join(built)}: it would fail at its first "
                "kernel. Mend: a torch that was built for this card, newer or older, or --device cpu"
            )
    return problems


def _runs(built: list[str], major: int, minor: int) -> bool:
    """sm_XY: machine code, which runs on cards of the same X from Y on. compute_XY: compiled for any later card."""
    for kind, digits in (arch.split("_", 1) for arch in built if "_" in arch):
        number = int(re.sub(r"\D", "", digits) or 0)
        of_major, of_minor = divmod(number, 10)
        if kind == "sm" and of_major == major and of_minor <= minor:
            return True
        if kind == "compute" and (of_major, of_minor) <= (major, minor):
            return True
    return False
