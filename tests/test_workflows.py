"""The workflow that users take as it is: what it runs exists, and nothing in it is more than it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from workbench.cli import main
from workbench.compare.model import Kind
from workbench.report.compare.markdown import MARKER
from workbench.synth import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "compare.yml"
SOURCE = WORKFLOW.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return dict(yaml.load(SOURCE, yaml.BaseLoader))


@pytest.fixture(scope="module")
def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return list(workflow["jobs"]["compare"]["steps"])


def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it() -> None:
    used = re.findall(r"uses: (.*)", SOURCE)
    assert used
    assert [each for each in used if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


def test_it_has_no_right_but_to_read_and_to_comment(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert set(workflow["on"]) == {"pull_request"}, "never with the rights of the base on somebody else's code"


def test_nothing_that_a_stranger_can_write_is_put_into_a_script(steps: list[dict[str, Any]]) -> None:
    assert [step["name"] for step in steps if "${{" in step.get("run", "")] == []


def test_it_fails_on_conditions_that_exist(workflow: dict[str, Any]) -> None:
    assert set(workflow["env"]["FAIL_ON"].split(",")) <= set(Kind)


def test_it_finds_its_own_comment_by_the_mark_that_the_report_begins_with() -> None:
    assert f'startswith("{MARKER}")' in SOURCE


def test_it_calls_the_command_with_options_that_it_has(
    steps: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    known = capsys.readouterr().out
    used = {option for step in steps for option in re.findall(r"blueprint compare.*?(--[a-z-]+)", step.get("run", ""))}
    assert used
    assert [option for option in used if option not in known] == []


def test_its_scripts_have_no_mistake_that_a_shell_checker_sees(steps: list[dict[str, Any]]) -> None:
    shellcheck = shutil.which("shellcheck", path=str(ROOT / ".venv" / "bin"))
    assert shellcheck is not None
    for step in steps:
        if "run" in step:
            done = subprocess.run(
                [shellcheck, "--shell=bash", "-"], input=step["run"], capture_output=True, text=True, check=False
            )
            assert done.stdout == "", step.get("name")
