"""Two sides put beside each other: every aspect's answer, the verdict, and the conditions that a pipeline sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from workbench.compare.aspects import availability, capacity, cost, exposure, protection, replacement, resources, rights
from workbench.compare.model import Comparison, Facts, Finding, Kind, Risk
from workbench.templates import Impact

# How a verdict opens, and what of each kind it has to say: one, several.
OPENING = {Risk.NOTICE: "Look first", Risk.DANGER: "Do not deploy yet"}
SAID = {
    Kind.REPLACE_STATEFUL: (
        "one resource that others rely on is replaced",
        "{} resources that others rely on are replaced",
    ),
    Kind.REMOVE_STATEFUL: (
        "one resource that others rely on leaves the template",
        "{} resources that others rely on leave the template",
    ),
    Kind.REPLACE: ("one resource is replaced", "{} resources are replaced"),
    Kind.MAY_REPLACE: ("one resource may be replaced", "{} resources may be replaced"),
    Kind.INTERRUPT: ("one interruption", "{} interruptions"),
    Kind.EXPORT_LOCK: ("one shared value is in the way", "{} shared values are in the way"),
    Kind.ADDRESS: ("the address of visitors changes", "{} addresses of visitors change"),
    Kind.OPEN_NETWORK: ("one wider opening", "{} wider openings"),
    Kind.GRANT: ("one far-reaching right", "{} far-reaching rights"),
    Kind.ENCRYPTION: ("weaker encryption", "weaker encryption in {} places"),
    Kind.PROTECTION: ("weaker protection", "weaker protection in {} places"),
    Kind.BUDGET: ("the budget is exceeded", "{} budgets are exceeded"),
    Kind.UNKNOWN_COST: ("a part of the bill is unknown", "{} parts of the bill are unknown"),
    Kind.AVAILABILITY: ("less availability", "less availability in {} ways"),
    Kind.CAPACITY: ("the workload does not fit", "the workload does not fit in {} ways"),
}


def compare(before: Facts, after: Facts) -> Comparison:
    """All that differs, the worst first."""
    changes = resources.compare(before, after)
    locks, found = replacement.compare(before, after, changes)
    grants, of_rights = rights.compare(before, after)
    openings, entrances, of_exposure = exposure.compare(before, after)
    costs, of_cost = cost.compare(before, after)
    found = [
        *found,
        *of_exposure,
        *of_rights,
        *protection.compare(before, after),
        *of_cost,
        *capacity.compare(before, after),
        *availability.compare(before, after),
    ]
    kinds = list(Kind)
    return Comparison(
        before=before,
        after=after,
        resources=changes,
        locks=locks,
        grants=grants,
        openings=openings,
        entrances=entrances,
        costs=costs,
        findings=tuple(
            sorted(set(found), key=lambda one: (-one.risk, kinds.index(one.kind), one.text, one.key or ("", "")))
        ),
    )


def counted(comparison: Comparison) -> dict[str, int]:
    """How many resources are added, changed, replaced and removed."""
    impacts = Counter(change.impact for change in comparison.resources)
    return {
        "added": impacts[Impact.CREATE],
        "changed": impacts[Impact.NONE] + impacts[Impact.UPDATE] + impacts[Impact.MAY_REPLACE],
        "replaced": impacts[Impact.REPLACE],
        "removed": impacts[Impact.KEEP] + impacts[Impact.SNAPSHOT] + impacts[Impact.DESTROY],
    }


def verdict(comparison: Comparison) -> str:
    """The whole comparison in one line."""
    if comparison.risk is Risk.NONE:
        return "Nothing changes."
    counts = ", ".join(f"{count} {what}" for what, count in counted(comparison).items())
    worst = Counter(finding.kind for finding in comparison.findings if finding.risk is comparison.risk)
    reasons = [_said(kind, count, comparison) for kind, count in worst.items()]
    kept = "" if _loses_something(comparison) else "; nothing that holds data is replaced or removed"
    if comparison.risk not in OPENING:
        return f"Safe to deploy: {counts}{kept}."
    return f"{OPENING[comparison.risk]}: {', '.join(reasons)} ({counts}{kept})."


def _said(kind: Kind, count: int, comparison: Comparison) -> str:
    if kind is Kind.COST:
        return f"{comparison.after.cost.usd:,.0f} USD a month instead of {comparison.before.cost.usd:,.0f}"
    return SAID[kind][count > 1].format(count)


def _loses_something(comparison: Comparison) -> bool:
    harmless = (Impact.NONE, Impact.CREATE, Impact.UPDATE)
    return any(change.stateful and change.impact not in harmless for change in comparison.resources)


def failed(comparison: Comparison, conditions: Collection[str]) -> list[Finding]:
    """What a pipeline does not accept: findings of these kinds that need somebody's attention."""
    return [finding for finding in comparison.findings if finding.kind in conditions and finding.risk >= Risk.NOTICE]
