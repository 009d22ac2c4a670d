"""How far a workload goes towards every limit that is published, and which one it reaches first.

Each ceiling is judged as if no other stood in the way: with the hosts that the load takes, not with those that the
group may have. So all of them grow with the users, and the order in which they are reached is the order of shares.
"""

from __future__ import annotations

from collections.abc import Iterator

from workbench.compare.aspects.ceilings import ceilings
from workbench.compare.aspects.demand import Demand
from workbench.compare.model import Capacity, Ceiling, Facts, Finding, Kind, Risk
from workbench.templates.reading import System
from workbench.usage import Usage


def capacity(system: System, usage: Usage) -> Capacity:
    """Every ceiling of a system under a workload, the fullest first, those that nobody can judge last."""
    found = set(ceilings(Demand(system, usage)))
    return Capacity(tuple(sorted(found, key=lambda each: (each.share is None, -(each.share or 0), each.name))))


def full_at(ceiling: Ceiling, usage: Usage) -> float | None:
    """Users a day at which a ceiling is full, when everything else about the workload stays as it is."""
    return usage.users_a_day / ceiling.share if ceiling.share else None


def compare(before: Facts, after: Facts) -> list[Finding]:
    """What is full first on both sides, and what becomes too small for the workload."""
    old, new = before.capacity.breaks_first, after.capacity.breaks_first
    found = list(_too_small(before, after))
    if old is not None and new is not None and (old.name, old.limit, old.used) != (new.name, new.limit, new.used):
        text = f"The first limit is {_spoken(new, after)}; before, it was {_spoken(old, before)}."
        found.append(Finding(Risk.ROUTINE, Kind.CAPACITY, text, new.key))
    return found


def _too_small(before: Facts, after: Facts) -> Iterator[Finding]:
    old = {ceiling.name: ceiling for ceiling in before.capacity.ceilings}
    first = before.capacity.breaks_first
    fitted = first is None or (first.share or 0) <= 1
    for ceiling in after.capacity.ceilings:
        known = old.get(ceiling.name)
        if (ceiling.share or 0) <= 1:
            continue
        if known is not None and (known.limit or 0) > (ceiling.limit or 0):
            text = f"Less than the workload uses is left: {_spoken(ceiling, after)}, instead of {known.limit:,.4g}."
            risk = Risk.DANGER if (known.share or 0) <= 1 else Risk.NOTICE
            yield Finding(risk, Kind.CAPACITY, text, ceiling.key)
        elif fitted:
            text = f"The workload fitted before and does not any more: {_spoken(ceiling, after)}."
            yield Finding(Risk.NOTICE, Kind.CAPACITY, text, ceiling.key)


def _spoken(ceiling: Ceiling, facts: Facts) -> str:
    usage = facts.cost.usage
    users = None if usage is None else full_at(ceiling, usage)
    until = "" if users is None else f", full at about {_round(users):,.0f} users a day"
    return f"{ceiling.name}, {ceiling.used or 0:,.4g} of {ceiling.limit or 0:,.4g} {ceiling.unit}{until}"


def _round(number: float) -> float:
    """Two digits: the workload is not known any better."""
    return float(f"{number:.2g}")
