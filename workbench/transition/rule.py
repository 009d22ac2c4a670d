"""What a rule of the contract is: a question about two assemblies, with the reason for asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from workbench.facts.stateful import STATEFUL, is_replica
from workbench.templates import Assembly, Change, Impact, Key, Reference, Resource, resources
from workbench.templates.replacement import predict_resources


class Direction(StrEnum):
    """Where a move goes. `stay` compares two assemblies that should be the same one."""

    UP = "up"
    DOWN = "down"
    STAY = "stay"


@dataclass(frozen=True, eq=False)
class Move:
    """Two assemblies of one environment, and what follows from deploying `after` over `before`."""

    before: Assembly
    after: Assembly
    direction: Direction
    protected: bool  # whether the environment's profile protects what it holds

    @cached_property
    def old(self) -> Mapping[Key, Resource]:
        return resources(self.before)

    @cached_property
    def new(self) -> Mapping[Key, Resource]:
        return resources(self.after)

    @cached_property
    def changes(self) -> Mapping[Key, Change]:
        """What the deployment does to each resource that it does not leave alone."""
        return predict_resources(self.old, self.new)

    @property
    def order(self) -> tuple[str, ...]:
        """Roles in the order of deployment: going up the oldest stack first, going down the youngest."""
        later = [role for role in self.before.order if role not in self.after.order]
        order = (*self.after.order, *later)
        return order[::-1] if self.direction is Direction.DOWN else order

    @property
    def shared(self) -> Iterator[tuple[Resource, Resource]]:
        """Resources that are on both sides."""
        return ((old, self.new[key]) for key, old in self.old.items() if key in self.new)

    @property
    def removed(self) -> Iterator[Resource]:
        return (old for key, old in self.old.items() if key not in self.new)

    def impact(self, resource: Resource) -> Impact:
        change = self.changes.get(resource.key)
        return change.impact if change is not None else Impact.NONE


@dataclass(frozen=True)
class Verdict:
    """One thing that was looked at; with a problem if there is one."""

    stack: str
    id: str
    type: str
    problem: str = ""
    property: str = ""
    before: Any = None
    after: Any = None


def seen(
    resource: Resource, problem: str = "", *, property: str = "", before: Any = None, after: Any = None
) -> Verdict:
    """The verdict on a resource."""
    return Verdict(resource.stack, resource.id, resource.type, problem, property, before, after)


Look = Callable[[Move], Iterator[Verdict]]


@dataclass(frozen=True)
class Rule:
    """A named rule. `expected` says for which moves it must find something to look at."""

    id: str
    title: str
    why: str
    fix: str
    look: Look
    directions: frozenset[Direction]
    only_protected: bool
    expected: Callable[[Move], bool]

    def applies(self, move: Move) -> bool:
        return move.direction in self.directions and (move.protected or not self.only_protected)


@dataclass(frozen=True)
class Finding:
    """Something that breaks a rule: where it is, what differs, and what to do about it."""

    rule: str
    stack: str
    id: str
    type: str
    problem: str
    fix: str
    property: str = ""
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        place = ".".join(part for part in (self.stack, self.id, self.property) if part)
        values = (
            f" ({_shown(self.before)} -> {_shown(self.after)})" if (self.before, self.after) != (None, None) else ""
        )
        return f"{self.rule} {place} [{self.type}] {self.problem}{values}. {self.fix}"


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, Reference) else repr(value)
    return text if len(text) <= 100 else text[:99] + "…"


@dataclass(frozen=True)
class Allowance:
    """What a rule lets pass, under which circumstances, and why."""

    rules: frozenset[str]
    type: str
    reason: str
    runbook: str | None = None  # the program that makes it safe and leaves the proof
    directions: frozenset[Direction] = frozenset({Direction.UP, Direction.DOWN})
    beside: frozenset[str] = frozenset()  # types that the new assembly must have: what takes over
    kept: bool = False  # in a protected environment only what stays in the account or leaves a snapshot
    only_if: Callable[[Resource], bool] = lambda _: True

    def covers(self, finding: Finding, move: Move) -> bool:
        """Whether this row is about a finding."""
        resource = move.old.get((finding.stack, finding.id)) or move.new.get((finding.stack, finding.id))
        return (
            finding.rule in self.rules
            and finding.type == self.type
            and move.direction in self.directions
            and resource is not None
            and self.only_if(resource)
            and self.beside <= {new.type for new in move.new.values()}
            and (not self.kept or not move.protected or move.impact(resource) in (Impact.KEEP, Impact.SNAPSHOT))
        )


@dataclass(frozen=True)
class RuleReport:
    """What a rule looked at, what it found, and what it found but an allowance covers."""

    rule: str
    title: str
    examined: int
    findings: tuple[Finding, ...]
    allowed: tuple[tuple[Finding, Allowance], ...] = ()


UP_AND_DOWN = frozenset({Direction.UP, Direction.DOWN})


def rule(
    rule_id: str,
    title: str,
    *,
    why: str,
    fix: str,
    directions: frozenset[Direction] = UP_AND_DOWN,
    only_protected: bool = False,
    expected: Callable[[Move], bool] = lambda _: True,
) -> Callable[[Look], Rule]:
    """Make a rule of a function that looks at a move."""
    return lambda look: Rule(rule_id, title, why, fix, look, directions, only_protected, expected)


def apply(rule: Rule, move: Move, allowances: tuple[Allowance, ...]) -> RuleReport:
    """Ask one rule. Having looked at nothing where something must be is a finding too."""
    examined: set[tuple[str, str, str]] = set()
    findings: list[Finding] = []
    for seen in rule.look(move):
        examined.add((seen.stack, seen.id, seen.type))
        if seen.problem:
            findings.append(
                Finding(
                    rule.id,
                    seen.stack,
                    seen.id,
                    seen.type,
                    seen.problem,
                    rule.fix,
                    seen.property,
                    seen.before,
                    seen.after,
                )
            )
    if not examined and rule.expected(move):
        findings.append(Finding(rule.id, "", "", "", "looked at nothing although there must be something", rule.fix))
    allowed = [(finding, row) for finding in findings for row in allowances if row.covers(finding, move)]
    covered = [finding for finding, _ in allowed]
    left = tuple(finding for finding in findings if not any(finding is other for other in covered))
    return RuleReport(rule.id, rule.title, len(examined), left, tuple(allowed))


def is_stateful(resource: Resource) -> bool:
    """Whether it must stay the same resource; a read replica can be made again at any time."""
    return resource.type in STATEFUL and not replica(resource)


def holds_data(resource: Resource) -> bool:
    """Whether something would be lost with it."""
    return is_stateful(resource) and not STATEFUL[resource.type].identity_only


def replica(resource: Resource) -> bool:
    return is_replica(resource.type, resource.properties)


def is_protected(resource: Resource) -> bool:
    """Whether its service refuses to delete it."""
    name = STATEFUL[resource.type].protection if resource.type in STATEFUL else None
    return name is not None and resource.properties.get(name) in (True, "true")
