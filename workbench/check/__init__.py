"""Gates: rules over the templates of one environment at one stage, and what other tools say about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from blueprint.environment import Environment
from workbench.check import at_rest, edge, hosts, in_transit, network, rights, stores, workers
from workbench.check.exceptions import Exemption, load
from workbench.check.rule import Finding, Report, Rule, Wanted, apply
from workbench.templates import Assembly, read_assembly
from workbench.templates.reading import System

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            *hosts.RULES,
            *network.RULES,
            *rights.RULES,
            *at_rest.RULES,
            *in_transit.RULES,
            *stores.RULES,
            *edge.RULES,
            *workers.RULES,
        ),
        key=lambda rule: rule.id,
    )
)


@dataclass(frozen=True)
class Excused:
    """A finding that an exception lets pass."""

    finding: Finding
    by: Exemption


@dataclass(frozen=True)
class CheckReport:
    """What all rules say of one assembly."""

    reports: tuple[Report, ...]
    excused: tuple[Excused, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for report in self.reports for finding in report.findings)

    @property
    def ok(self) -> bool:
        return not self.findings


def check(
    assembly: Assembly,
    *,
    wanted: Wanted,
    today: date,
    exemptions: Iterable[Exemption],
    rules: Iterable[Rule] = RULES,
) -> CheckReport:
    """Ask every rule about an assembly. An exception in force covers a finding, one that has ended covers nothing."""
    system, exemptions = System(assembly), tuple(exemptions)
    reports, excused = [], []
    for rule in rules:
        report = apply(rule, system, wanted)
        left = []
        for finding in report.findings:
            by = next((each for each in exemptions if each.excuses(finding, wanted)), None)
            if by is None:
                left.append(finding)
            elif today <= by.expires:
                excused.append(Excused(finding, by))
            else:
                problem = f"{finding.problem} (its exception {by.id} ended on {by.expires})"
                left.append(Finding(finding.rule, finding.stack, finding.resource, finding.type, problem))
        reports.append(Report(rule.id, report.examined, tuple(left)))
    return CheckReport(tuple(reports), tuple(excused))


def run(folder: Path, *, environment: Environment, today: date) -> CheckReport:
    """All rules and the exceptions in force, for the assembly of `environment` in a folder."""
    return check(read_assembly(folder), wanted=Wanted.by(environment), today=today, exemptions=load())
