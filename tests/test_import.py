"""Importing detres opens no connection, loads nothing slow and configures nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

import detres

PROGRAM = """
import json, logging, os, socket, sys, time

def refuse(*arguments, **options):
    raise AssertionError(f"a connection was asked for: {arguments}")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
os.environ.pop("NO_ALBUMENTATIONS_UPDATE", None)

import torch, torchvision
handlers, before = list(logging.getLogger().handlers), set(sys.modules)
started = time.process_time()
import detres
told = {"seconds": time.process_time() - started, "face": sorted(set(sys.modules) - before)}
for name in detres.__all__:
    getattr(detres, name)
told["seconds of all"] = time.process_time() - started
told["all"] = sorted(set(sys.modules) - before)
told["update"] = os.environ["NO_ALBUMENTATIONS_UPDATE"]
from detres.data.detection.transforms import DetectionTransform
DetectionTransform([{"HorizontalFlip": {}}], training=True)
told["augmenting"] = sorted(set(sys.modules) - before)
told["handlers"] = list(logging.getLogger().handlers) == handlers
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(module_run: CompletedProcess[str]) -> dict[str, Any]:
    assert module_run.returncode == 0, module_run.stderr
    return json.loads(module_run.stdout)


@pytest.fixture(scope="module")
def module_run(run_python: Callable[..., CompletedProcess[str]]) -> CompletedProcess[str]:
    return run_python("-c", PROGRAM)


def loaded(modules: list[str], name: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for module in modules)


@pytest.mark.slow
def test_import_detres_loads_next_to_nothing(told: dict[str, Any], record_property: Callable[..., None]) -> None:
    record_property("seconds beyond torch and torchvision", told["seconds"])
    # Of the processor, so that other work does not count. The face alone takes milliseconds: nothing slow has crept in.
    assert told["seconds"] < 3
    ours = {module for module in told["face"] if module.startswith("detres")}
    assert ours == {"detres", "detres.errors", "detres.version"}
    slow = ("albumentations", "timm", "cv2", "pydantic", "matplotlib", "rich", "tensorboard", "pycocotools", "scipy")
    assert [name for name in (*slow, "torch._dynamo", "torch._inductor") if loaded(told["face"], name)] == []


@pytest.mark.slow
def test_the_public_names_need_neither_timm_nor_albumentations_nor_a_compiler(
    told: dict[str, Any], record_property: Callable[..., None]
) -> None:
    absent = ("timm", "albumentations", "torch._inductor", "matplotlib", "tensorboard")
    assert [name for name in absent if loaded(told["all"], name)] == []
    record_property("seconds of every public name", told["seconds of all"])
    assert told["seconds of all"] < 5


@pytest.mark.slow
def test_albumentations_is_told_not_to_ask_the_registry(told: dict[str, Any]) -> None:
    assert told["update"] == "1"
    assert loaded(told["augmenting"], "albumentations"), "nothing was tried"


@pytest.mark.slow
def test_logging_is_left_alone(told: dict[str, Any]) -> None:
    assert told["handlers"]


@pytest.mark.slow
def test_the_refusal_of_connections_can_fail(run_python: Callable[..., CompletedProcess[str]]) -> None:
    guard = PROGRAM.split("import torch")[0]
    assert socket.getaddrinfo  # the real one, in this process
    tried = run_python("-c", guard + "socket.create_connection(('localhost', 9))")
    assert "a connection was asked for" in tried.stderr


def test_every_public_name_is_there_and_an_unknown_one_is_not() -> None:
    promised = (
        *("build_backbone", "list_backbones", "build_classifier", "load_config", "build_detector", "train", "evaluate"),
        *("Detector", "UserError", "ConfigError", "DataError", "WeightsError", "__version__"),
    )
    for name in promised:
        assert name in dir(detres)
        assert getattr(detres, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Detectro'"):
        detres.Detectro  # noqa: B018
    assert issubclass(detres.ConfigError, detres.UserError)
