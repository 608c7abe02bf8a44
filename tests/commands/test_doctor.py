"""doctor names what is wrong with an installation, and its mend."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from detres.commands import doctor
from detres.commands.main import main


def test_a_sound_installation_shows_versions_and_devices(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    told = capsys.readouterr().out
    assert "torch 2." in told
    assert "CPU: " in told
    # A machine without a compiler is told so, and trains all the same.
    assert status == (2 if "PROBLEM" in told else 0)
    assert told.count("PROBLEM") == 0 or "Mend:" in told


def test_a_torchvision_built_for_another_torch_is_named() -> None:
    (problem,) = doctor.mismatch("2.15.0+cu132", ["numpy", "torch==2.14.1", "pillow!=8.3.*,>=5.3.0"])
    assert "was built for torch 2.14.1, but torch 2.15.0+cu132 is installed" in problem
    assert "Mend: pip install --upgrade torch torchvision" in problem


def test_a_torchvision_built_for_this_torch_is_no_problem() -> None:
    import torch

    assert doctor.mismatch(torch.__version__, [f"torch=={torch.__version__.split('+')[0]}"]) == []


def test_two_opencvs_are_a_problem_and_one_is_none() -> None:
    assert doctor.opencv_problems(["opencv-python-headless"]) == []
    (problem,) = doctor.opencv_problems(["opencv-python", "opencv-python-headless"])
    assert "overwrite each other's cv2" in problem
    assert "pip uninstall -y opencv-python opencv-python-headless" in problem


def test_a_package_that_is_too_old_is_named_and_extras_are_not() -> None:
    needs = ["pillow>=10", "numpy>=900", "PyYAML>=900; extra == 'test'", "not-installed>=1"]
    (problem,) = doctor.old_packages(needs)
    assert problem.startswith("numpy ")
    assert "but detres needs >=900. Mend: pip install 'numpy>=900'" in problem


def test_an_opencv_without_what_images_are_read_with_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """4.10 has everything but one flag, and no name of a package tells."""
    assert doctor.opencv_abilities() == []
    monkeypatch.delattr("cv2.IMREAD_COLOR_RGB")
    (problem,) = doctor.opencv_abilities()
    assert "IMREAD_COLOR_RGB" in problem
    assert "Mend: pip install --upgrade opencv-python-headless" in problem


def test_no_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (problem,) = doctor.compiler_problems()
    assert "no C++ compiler for torch.compile" in problem


def test_a_missing_package_is_named_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == "torchvision" else real(name))
    assert main(["doctor"]) == 2
    assert "not installed: torchvision. Mend: pip install torchvision" in capsys.readouterr().out


def test_what_is_installed_with_detres_has_the_opencv_that_it_needs() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (needed,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "opencv-python-headless")
    assert needed.specifier.contains("4.11.0.86")
    assert not needed.specifier.contains("4.10.0.84"), "has no IMREAD_COLOR_RGB"
