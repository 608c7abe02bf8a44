"""What contributors and packagers meet first agrees with the code: one version, one way to check it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import detres

ROOT = Path(__file__).resolve().parents[1]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read_yaml(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == detres.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["license"] == project["license"]
    paper = citation["references"][0]
    assert paper["title"] == "Deep Residual Learning for Image Recognition"
    assert [author["family-names"] for author in paper["authors"]] == ["He", "Zhang", "Ren", "Sun"]


def test_the_workflow_asks_what_a_submission_must_pass() -> None:
    steps = read_yaml(".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_hooks_are_local_and_call_what_make_installs() -> None:
    (own,) = read_yaml(".pre-commit-config.yaml")["repos"]
    assert own["repo"] == "local"
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in own["hooks"]:
        program, *arguments = hook["entry"].split()
        if program == "make":
            assert f"\n{arguments[0]}: " in targets
        else:
            assert program in (".venv/bin/ruff", ".venv/bin/mypy") or shutil.which(program)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_has_what_github_asks_of_it(form: Path) -> None:
    told = read_yaml(f".github/ISSUE_TEMPLATE/{form.name}")
    assert {"name", "description", "body"} <= set(told)
    ids = [field["id"] for field in told["body"]]
    assert len(set(ids)) == len(ids) > 0
    assert all(field["attributes"]["label"] for field in told["body"] if field["type"] == "textarea")


def test_there_is_a_form_for_what_is_wrong_and_one_for_what_is_missing() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature"]
