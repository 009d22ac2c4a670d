"""What changes on the bill: component by component, with the rise, the budget and the gaps as findings."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.compare.model import CostChange, Facts, Finding, Kind, Risk
from workbench.cost import Estimate
from workbench.cost.part import figure
from workbench.templates import Key

BUDGET = "AWS::Budgets::Budget"
NOTICED_SHARE, NOTICED_USD = 0.10, 50
NAMED = 3  # drivers and gaps that a finding names before it only counts

Component = tuple[Key, str]


def compare(before: Facts, after: Facts) -> tuple[tuple[CostChange, ...], list[Finding]]:
    """Every component whose cost differs, and what a reviewer must know about it."""
    old, new = _by_component(before.cost), _by_component(after.cost)
    changes = tuple(
        CostChange(*place, old.get(place), new.get(place))
        for place in sorted({*old, *new})
        if old.get(place) != new.get(place)
    )
    return changes, [*_rise(before, after, changes), *_gaps(before, after), *_budget(before, after)]


def _by_component(estimate: Estimate) -> Mapping[Component, float]:
    cents: dict[Component, int] = {}
    for line in estimate.lines:
        place = line.key, line.component
        cents[place] = cents.get(place, 0) + line.cents
    return {place: amount / 100 for place, amount in cents.items()}


def _rise(before: Facts, after: Facts, changes: tuple[CostChange, ...]) -> list[Finding]:
    old, new = before.cost.usd, after.cost.usd
    rise = new - old
    if rise <= NOTICED_USD and (not old or rise / old <= NOTICED_SHARE):
        return []
    names = _names(before.cost) | _names(after.cost)
    risen = sorted(
        changes, key=lambda change: ((change.before or 0) - (change.after or 0), change.key, change.component)
    )
    drivers = [
        f"{names[change.key]} {change.component} {_signed((change.after or 0) - (change.before or 0))}"
        for change in risen[:NAMED]
        if (change.after or 0) > (change.before or 0)
    ]
    share = f", {rise / old:+.0%}" if old else ""
    usage = f"at the usage {after.cost.usage.name}" if after.cost.usage else "at rest"
    known = "" if before.cost.complete and after.cost.complete else " as far as prices are known"
    text = (
        f"A month {usage} costs {new:,.2f} USD instead of {old:,.2f} ({_signed(rise)}{share}){known}. "
        f"The most: {'; '.join(drivers)}."
    )
    return [Finding(Risk.NOTICE, Kind.COST, text)]


def _signed(usd: float) -> str:
    return f"{usd:+,.2f}"


def _names(estimate: Estimate) -> dict[Key, str]:
    return {line.key: line.name for line in estimate.lines}


def _gaps(before: Facts, after: Facts) -> list[Finding]:
    known = {(gap.key, gap.what) for gap in before.cost.unknown}
    new = [gap for gap in after.cost.unknown if (gap.key, gap.what) not in known]
    if not new:
        return []
    named = "; ".join(f"{gap.name} ({gap.type}), {gap.what}" for gap in new[:NAMED])
    more = f"; and {len(new) - NAMED} more" if len(new) > NAMED else ""
    count = "1 cost is" if len(new) == 1 else f"{len(new)} costs are"
    text = f"{count} unknown that the total leaves out: {named}{more}."
    return [Finding(Risk.NOTICE, Kind.UNKNOWN_COST, text, new[0].key if len(new) == 1 else None)]


def _budget(before: Facts, after: Facts) -> list[Finding]:
    """Budgets that are exceeded, unless they already were by the same amount."""
    old = _exceeded(before)
    return [
        Finding(Risk.NOTICE, Kind.BUDGET, text, key) for key, text in _exceeded(after).items() if old.get(key) != text
    ]


def _exceeded(facts: Facts) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for budget in facts.system.of_type(BUDGET):
        limit = figure(budget.get("Budget.BudgetLimit.Amount"))
        whole = not budget.get("Budget.CostFilters") and budget.get("Budget.BudgetType") == "COST"
        monthly = budget.get("Budget.TimeUnit") == "MONTHLY" and budget.get("Budget.BudgetLimit.Unit") == "USD"
        if limit is not None and whole and monthly and facts.cost.usd > limit:
            found[budget.stack.role, budget.id] = (
                f"The estimate of {facts.cost.usd:,.2f} USD a month is above the budget {budget.name} "
                f"of {limit:,.2f} USD."
            )
    return found
