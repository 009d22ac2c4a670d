"""The gates, on every stage of both profiles: our own rules, cdk-nag, CDK's validation, cfn-lint."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from blueprint.environment import Environment, load
from blueprint.stages import STAGES
from tests.conftest import Assemblies
from workbench.check import RULES, CheckReport, run
from workbench.check.exceptions import load as exemptions
from workbench.check.rule import Rule
from workbench.check.tools import (
    CDK,
    WITHOUT_DOMAIN,
    WITHOUT_PROTECTION,
    Validation,
    lint,
    problems,
    read_validation,
)
from workbench.synth import ROOT
from workbench.templates import read_assembly

pytestmark = pytest.mark.gate

# Exceptions end on a day; a test must not, so it always asks about the same one.
TODAY = date(2026, 11, 1)
PROFILES = ("production", "sandbox")
NUMBERS = [stage.number for stage in STAGES]
BESIDES = {"production": frozenset[str](), "sandbox": WITHOUT_DOMAIN | WITHOUT_PROTECTION}

Reports = dict[tuple[str, int], CheckReport]


@pytest.fixture(scope="session")
def reports(assemblies: Assemblies) -> Reports:
    """What all rules say of every stage of both profiles."""
    return {
        (profile, number): run(folder, environment=load(profile, stage=str(number)), today=TODAY)
        for profile in PROFILES
        for number, folder in assemblies(profile).items()
    }


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_rule_holds(reports: Reports, rule: Rule, profile: str, number: int) -> None:
    [report] = [each for each in reports[profile, number].reports if each.rule == rule.id]
    found = [f"{each.stack} {each.resource} ({each.type}) {each.problem}" for each in report.findings]
    assert not found, "\n".join([f"{rule.id} {rule.title}", *found, f"Why: {rule.why}", f"Fix: {rule.fix}"])


@pytest.mark.parametrize("number", [4, 5])
def test_the_templates_between_two_passes_keep_every_rule_too(
    load_production: Callable[[int], Environment], synth: Callable[[Environment], Path], number: int
) -> None:
    """A move from stage 3 to 4 stops once in between, with the load balancer still open."""
    environment = load_production(number)
    between = replace(environment, transition=environment.transition.model_copy(update={"lock_origin": False}))
    folder = synth(between)
    report = run(folder, environment=between, today=TODAY)
    assert len(report.reports) == len(RULES)
    assert report.findings == ()
    assert read_validation(folder).open == ()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_home_outside_us_east_1_keeps_every_rule_too(
    load_production: Callable[[int], Environment], synth: Callable[[Environment], Path], number: int
) -> None:
    zones = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
    elsewhere = replace(load_production(number), region="eu-west-1", zones=zones)
    folder = synth(elsewhere)
    assert run(folder, environment=elsewhere, today=TODAY).findings == ()
    assert read_validation(folder).open == ()


def test_every_exception_excuses_something_and_none_does_so_in_production(reports: Reports) -> None:
    used = {
        profile: {each.by.id for number in NUMBERS for each in reports[profile, number].excused} for profile in PROFILES
    }
    assert used["sandbox"] == {exemption.id for exemption in exemptions()}
    assert used["production"] == set()


@pytest.mark.parametrize("profile", PROFILES)
def test_cdk_nag_finds_nothing_that_is_not_acknowledged_with_a_reason(assemblies: Assemblies, profile: str) -> None:
    reports = {number: read_validation(folder) for number, folder in assemblies(profile).items()}
    found = problems(reports, besides=BESIDES[profile])
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def strict_synthesis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Strict syntheses: in a process of their own, since this one has CDK's validation switched off."""
    folder = tmp_path_factory.mktemp("strict")
    program = f"""
        from pathlib import Path
        from blueprint.environment import load
        from workbench.synth import Invalid, synth
        for profile in {PROFILES!r}:
            for number in {NUMBERS!r}:
                try:
                    environment = load(profile, stage=str(number))
                    synth(environment, Path({str(folder)!r}) / profile / str(number), strict=True, bundle=False)
                except Invalid:
                    pass  # what is wrong is in the report
    """
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'constructs'}"},
        )
    yield process, folder
    process.kill()


@pytest.mark.slow
@pytest.mark.usefixtures("strict_synthesis")  # which goes on meanwhile
@pytest.mark.parametrize("profile", PROFILES)
def test_cfn_lint_finds_nothing(assemblies: Assemblies, profile: str) -> None:
    templates = [
        (stack.region, folder / f"{stack.name}.template.json")
        for folder in assemblies(profile).values()
        for stack in read_assembly(folder).stacks
    ]
    assert len(templates) >= 6 * len(STAGES)
    found = [f"{each.rule} {each.path}: {each.message}" for each in lint(templates)]
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def strict(strict_synthesis: tuple[subprocess.Popen[str], Path]) -> dict[str, dict[int, Validation]]:
    """The reports of strict syntheses."""
    process, folder = strict_synthesis
    assert process.wait(timeout=300) == 0, (folder / "errors.txt").read_text()[-3000:]
    return {
        profile: {number: read_validation(folder / profile / str(number)) for number in NUMBERS} for profile in PROFILES
    }


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_cdks_validation_finds_nothing_and_looked_at_every_stage(
    strict: dict[str, dict[int, Validation]], profile: str
) -> None:
    found = [f"stage {number}: {each}" for number, report in strict[profile].items() for each in report.open]
    assert not found, "\n".join(found)
    # A report names it only when it has something to say; it always has: W3010, or an empty stack.
    assert [number for number, validation in strict[profile].items() if CDK not in validation.tools] == []
