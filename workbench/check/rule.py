"""What a rule is: a question about all templates of an environment, with the reason for asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blueprint.environment import Environment
from blueprint.parts import Egress, Protection, Stage
from blueprint.profiles import PROFILES
from workbench.templates.reading import Resource, System


@dataclass(frozen=True)
class Wanted:
    """What the environment asked for, as far as an answer depends on it."""

    stage: Stage
    protection: Protection
    egress: Egress = Egress.NAT
    domain: bool = True
    lock_origin: bool = True

    @classmethod
    def by(cls, environment: Environment) -> Wanted:
        return cls(
            stage=environment.stage,
            protection=PROFILES[environment.profile],
            egress=environment.egress,
            domain=environment.domain is not None,
            lock_origin=environment.transition.lock_origin,
        )


Verdicts = Iterator[tuple[Resource, str | None]]
"""Each resource that was looked at, with what is wrong with it; a resource may come several times."""

Look = Callable[[System, Wanted], Verdicts]
Expected = Callable[[Stage], bool]


@dataclass(frozen=True)
class Rule:
    """A named rule. `expected` says at which stages it must find something to look at."""

    id: str
    title: str
    why: str
    fix: str
    source: str
    look: Look
    expected: Expected


@dataclass(frozen=True)
class Finding:
    """Something that breaks a rule: where it is and what is wrong."""

    rule: str
    stack: str
    resource: str
    type: str
    problem: str


@dataclass(frozen=True)
class Report:
    """What a rule looked at, and what it found."""

    rule: str
    examined: int
    findings: tuple[Finding, ...]


def always(_: Stage) -> bool:
    """There is something to look at in every environment."""
    return True


def rule(
    rule_id: str, title: str, *, why: str, fix: str, source: str, expected: Expected = always
) -> Callable[[Look], Rule]:
    """Make a rule of a function that looks at templates."""
    return lambda look: Rule(rule_id, title, why, fix, source, look, expected)


def apply(rule: Rule, system: System, wanted: Wanted) -> Report:
    """Ask one rule. Having looked at nothing where something must be is a finding too."""
    seen: dict[Resource, None] = {}
    findings: dict[Finding, None] = {}
    for resource, problem in rule.look(system, wanted):
        seen[resource] = None
        if problem is not None:
            findings[Finding(rule.id, resource.stack.role, resource.id, resource.type, problem)] = None
    if not seen and rule.expected(wanted.stage):
        nothing = f"nothing to look at, although stage {wanted.stage.number} must have some"
        findings[Finding(rule.id, "", "", "", nothing)] = None
    return Report(rule.id, len(seen), tuple(findings))
