from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from detres import devices
from detres.devices import check_precision, computing_in, described, unsupported_gpus, unused_gpu
from detres.errors import ConfigError
from detres.precision import Precision

TOO_OLD = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver. (Triggered internally at CUDAFunctions.cpp:109.)"
)


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    version = tmp_path / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.223.02  Sat Oct  7\nGCC version: 11\n")
    return tmp_path


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def refuse() -> None:
    warnings.warn(TOO_OLD, stacklevel=1)
    raise RuntimeError("no CUDA-capable device is detected")


def test_a_driver_that_is_too_old_is_told_with_its_version(
    driver: Path, no_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "init", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Nothing of torch's own reaches the user besides.
        told = unused_gpu(driver)
    assert told is not None
    assert "its driver 470.223.02 (CUDA initialization: The NVIDIA driver on your system is too old" in told
    assert "built for CUDA 13.0" in told
    assert "Mend: a newer driver" in told


def test_a_torch_for_the_cpu_alone_beside_a_gpu_is_told(
    driver: Path, no_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "was built for the CPU alone" in (unused_gpu(driver) or "")


def test_a_device_file_without_a_driver_is_told(tmp_path: Path, no_cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    monkeypatch.setattr(torch.cuda, "init", refuse)
    assert "for its driver is not loaded" in (unused_gpu(tmp_path) or "")


def test_where_no_gpu_is_there_or_it_is_hidden_or_used_nothing_is_missed(
    driver: Path, tmp_path_factory: pytest.TempPathFactory, no_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unused_gpu(tmp_path_factory.mktemp("bare")) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert unused_gpu(driver) is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert unused_gpu(driver) is None


@pytest.mark.parametrize(
    ("built", "capability", "runs"),
    [
        (["sm_80", "sm_90"], (9, 0), True),
        (["sm_80"], (8, 6), True),
        (["sm_86"], (8, 0), False),
        (["sm_75", "sm_90a"], (7, 0), False),
        (["sm_80", "compute_90"], (12, 0), True),
        (["sm_80", "sm_120"], (12, 0), True),
        ([], (3, 5), True),  # This build says nothing.
    ],
)
def test_a_card_that_the_build_has_no_kernels_for_is_told(
    built: list[str], capability: tuple[int, int], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Some GPU")
    problems = unsupported_gpus()
    assert (not problems) == runs
    assert all("capability" in problem and built[0] in problem and "Mend: " in problem for problem in problems)


def test_a_device_is_described_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    assert described(torch.device("cpu")).startswith("cpu, ")
    assert described(torch.device("cpu"), 2).endswith(f"{threads} thread{'s' if threads > 1 else ''}; 2 ranks")
    monkeypatch.setattr(devices, "device_name", lambda device: "NVIDIA H200")
    properties = SimpleNamespace(total_memory=141 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert described(torch.device("cuda", 1)) == "cuda:1, NVIDIA H200, 141 GiB"


@pytest.fixture
def old_card(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(devices, "device_name", lambda device: "Tesla T4")
    return torch.device("cuda:0")


def test_a_precision_that_the_device_has_not_is_refused_with_the_one_it_has(old_card: torch.device) -> None:
    for fits in ("float32", "float16"):
        check_precision(fits, old_card)
    with pytest.raises(ConfigError, match=r"^training\.precision=bf16: Tesla T4 has none .* training\.precision=float"):
        check_precision("bf16", old_card, "training.precision")
    cpu = torch.device("cpu")
    for fits in ("float32", "bf16"):
        check_precision(fits, cpu)
    with pytest.raises(ConfigError, match=r"precision=float16: a CPU is many times slower in it .*take precision=bf16"):
        check_precision("float16", cpu)


def test_what_is_no_precision_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="precision is 'fp16', expected float32, bf16 or float16"):
        check_precision("fp16", torch.device("cpu"))


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16), ("float16", torch.float16)]
)
def test_a_layer_computes_in_its_precision(precision: Precision, dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(2, 2)
    with computing_in(precision, torch.device("cpu")):
        assert layer(torch.zeros(1, 2)).dtype == dtype
    assert layer.weight.dtype == torch.float32
