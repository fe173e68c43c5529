"""Settings that must agree: pinned tools, supported hosts, versions and the publisher."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED = dict(
    line.partition(";")[0].split("==")
    for line in (ROOT / "tests" / "requirements.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(
    path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)


def read(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    return {"on" if key is True else key: value for key, value in yaml.safe_load(path.read_text()).items()}


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_pre_commit_runs_the_tools_in_the_versions_of_make_lint() -> None:
    repositories = read(ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = {hook["id"]: (repository, hook) for repository in repositories for hook in repository["hooks"]}
    assert {"ruff-check", "ruff-format", "end-of-file-fixer", "trailing-whitespace"} < hooks.keys()
    assert hooks["ruff-check"][0]["rev"] == hooks["ruff-format"][0]["rev"] == f"v{PINNED['ruff']}"
    contracts = hooks["import-contracts"][1]
    assert contracts["additional_dependencies"] == [f"import-linter=={PINNED['import-linter']}"]
    assert (ROOT / contracts["entry"].split()[1]).is_file()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_pin_their_actions_and_only_read_the_repository(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    actions = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action)] == []


def test_ci_runs_the_newest_and_the_oldest_supported_host() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "ci.yml")
    hosts = {
        step["with"]["path"]: step["with"]["ref"]
        for step in steps(workflow)
        if step.get("with", {}).get("repository") == "Comfy-Org/ComfyUI"
    }
    oldest = PROJECT["tool"]["comfy"]["requires-comfyui"].removeprefix(">=")
    assert hosts["ComfyUI-0.14"] == f"v{oldest}"
    assert f"git checkout {hosts['ComfyUI']}" in (ROOT / "CONTRIBUTING.md").read_text()
    assert {".ci/run"} <= {step.get("run") for step in steps(workflow)}


def test_publishing_waits_for_a_version_tag_of_the_owner() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "publish.yml")
    owner = PROJECT["tool"]["comfy"]["PublisherId"]
    assert workflow["on"] == {"push": {"tags": ["v*"]}}
    (job,) = workflow["jobs"].values()
    assert job["if"] == f"github.repository_owner == '{owner}'"
    assert f"/{owner}/" in PROJECT["project"]["urls"]["Repository"]
    assert job["steps"][-1]["uses"].startswith("Comfy-Org/publish-node-action@")
    assert "pyproject.toml" in job["steps"][-2]["run"]  # the tag is compared before anything is published


def test_issue_forms_have_what_github_requires() -> None:
    assert [path.name for path in FORMS] == ["bug.yml", "feature.yml"]
    for path in FORMS:
        form = read(path)
        assert form["name"]
        assert form["description"]
        identifiers = [field["id"] for field in form["body"]]
        assert len(identifiers) == len(set(identifiers))
        assert all(field["attributes"]["label"] for field in form["body"])
    bug = {field["id"] for field in read(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml")["body"]}
    assert {"pack-version", "host-version", "log", "workflow"} <= bug


def test_tests_and_their_subprocesses_use_one_thread() -> None:
    assert torch.get_num_threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
