"""What torch is asked for within a run, put back behind it, and refused in words."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from detres.errors import ConfigError
from detres.training import deterministic as module
from detres.training.deterministic import deterministic, what_it_costs

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def asked_for() -> tuple[Any, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


@pytest.fixture
def matmuls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU is not needed for what is set; the product that it would be asked for is left out."""
    monkeypatch.setattr(module, "_check_workspace", lambda device: None)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


def test_within_it_algorithms_repeat_and_then_all_is_as_before(matmuls: None) -> None:
    before = asked_for()
    with deterministic(True, CUDA):
        assert asked_for() == (True, False, True, False, False, ":4096:8")
    assert asked_for() == before


def test_all_is_put_back_after_an_error_too(matmuls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        before = asked_for()
        with pytest.raises(ZeroDivisionError), deterministic(True, CUDA):
            raise ZeroDivisionError
        assert asked_for() == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_where_it_is_not_asked_for_nothing_is_touched(matmuls: None) -> None:
    before = asked_for()
    with deterministic(False, CUDA):
        assert asked_for() == before


def test_on_the_cpu_the_environment_stays_as_it_is(matmuls: None) -> None:
    with deterministic(True, CPU):
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


@pytest.mark.parametrize("stated", [":4096:8", ":16:8"])
def test_a_workspace_that_the_user_has_fixed_stays(matmuls: None, monkeypatch: pytest.MonkeyPatch, stated: str) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", stated)
    with deterministic(True, CUDA):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == stated
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == stated


def test_another_workspace_is_refused_and_left(matmuls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    before = asked_for()
    with pytest.raises(ConfigError, match=r"CUBLAS_WORKSPACE_CONFIG=:0:0.*unset it"), deterministic(True, CUDA):
        pass
    assert asked_for() == before


def test_a_process_that_has_multiplied_before_is_told_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("Deterministic behavior was enabled ... you must set CUBLAS_WORKSPACE_CONFIG=:4096:8")

    monkeypatch.setattr(torch, "ones", refuse)
    before = asked_for()
    with pytest.raises(ConfigError, match="start it with CUBLAS_WORKSPACE_CONFIG=:4096:8"), deterministic(True, CUDA):
        pass
    assert asked_for() == before


def test_an_operator_without_such_an_algorithm_is_named() -> None:
    told = r"deterministic=true: put_ on cpu.*deterministic=false"
    with pytest.raises(ConfigError, match=told), deterministic(True, CPU):
        torch.zeros(2).put_(torch.tensor([0]), torch.ones(1))


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), deterministic(True, CPU):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_what_it_costs_is_one_line(device: torch.device) -> None:
    line = what_it_costs(device)
    assert line.startswith("training.deterministic: ")
    assert "\n" not in line
