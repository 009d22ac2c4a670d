"""`blueprint check`: every gate in one command."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from typing import Any

import pytest

from blueprint.stages import MONOLITH
from workbench import cli
from workbench.check import RULES, CheckReport, verdict
from workbench.check.rule import Finding, Report
from workbench.check.tools import ToolFinding
from workbench.check.verdict import Verdict
from workbench.synth import ROOT


@pytest.mark.slow
def test_the_smallest_stage_passes_and_says_what_was_looked_at() -> None:
    command = [str(ROOT / ".venv" / "bin" / "blueprint"), "check", "production", "--stage", "monolith", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads(done.stdout)
    assert (stage["stage"], stage["findings"], stage["tools"]) == (1, [], [])
    assert sum(stage["examined"].values()) > 100
    assert "nothing found" in done.stderr


def test_every_rule_is_listed_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [rule["id"] for rule in listed] == [rule.id for rule in RULES]
    assert all(rule["why"] and rule["fix"] and rule["source"] for rule in listed)


def _finds_something(*_: Any, **__: Any) -> Verdict:
    finding = Finding("HA01", "web", "ServerHost", "AWS::EC2::Instance", "has a key pair")
    return Verdict(
        stage=MONOLITH,
        rules=CheckReport((Report("HA01", 1, (finding,)),), ()),
        tools=(ToolFinding("cfn-lint", "E3002", "shop-web", "is misspelt"),),
    )


def test_a_finding_is_shown_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verdict, "judge", _finds_something)
    assert cli.main(["check", "--stage", "1"]) == 1
    shown = capsys.readouterr().out
    assert "HA01 web ServerHost (AWS::EC2::Instance) has a key pair" in shown
    assert "E3002 (cfn-lint) shop-web: is misspelt" in shown


@pytest.mark.parametrize("arguments", [["--stage", "9"], ["nowhere"]])
def test_a_wrong_request_ends_with_2_and_is_answered(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *arguments]) == 2
    assert capsys.readouterr().err.strip()


def test_exceptions_are_judged_by_the_day_on_which_one_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[date] = []

    def judge(*_: Any, today: date) -> Verdict:
        asked.append(today)
        return _finds_something()

    monkeypatch.setattr(verdict, "judge", judge)
    before = date.today()
    cli.main(["check", "--stage", "1"])
    assert before <= asked[0] <= date.today()
