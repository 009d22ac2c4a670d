"""A comparison as JSON, as comparison.schema.json beside this file describes it; both change only with the version."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from workbench.compare import verdict
from workbench.compare.model import Comparison, Delta, Facts
from workbench.report.words import spell_sides
from workbench.templates import Cause, Key

VERSION = 1


def as_data(comparison: Comparison) -> dict[str, Any]:
    """Everything that a comparison found."""
    return {
        "version": VERSION,
        "verdict": {"risk": comparison.risk.name.lower(), "text": verdict(comparison)},
        "before": _side(comparison.before),
        "after": _side(comparison.after),
        "findings": [
            {"risk": each.risk.name.lower(), "kind": each.kind, "text": each.text, "resource": _key(each.key)}
            for each in comparison.findings
        ],
        "resources": [
            {
                "resource": _key(change.key),
                "type": change.type,
                "name": change.name,
                "block": change.block,
                "impact": change.impact.name.lower(),
                "holds": change.stateful,
                "code_only": change.code_only,
                "summary": change.summary,
                "properties": [_property(cause) for cause in change.causes],
            }
            for change in comparison.resources
        ],
        "export_locks": [
            {"kind": lock.kind.name.lower(), "stack": lock.deploying, "output": lock.output, "stacks": [*lock.stacks]}
            for lock in comparison.locks
        ],
        "costs": [
            {"resource": _key(each.key), "component": each.component, "before": each.before, "after": each.after}
            for each in comparison.costs
        ],
        "grants": _delta(comparison.grants),
        "openings": _delta(comparison.openings),
        "entrances": {
            word: [{"kind": each.kind, "name": each.name, "resource": _key(each.key)} for each in side]
            for word, side in (("added", comparison.entrances.added), ("removed", comparison.entrances.removed))
        },
    }


def _property(cause: Cause) -> dict[str, Any]:
    before, after = spell_sides(cause)
    return {
        "path": cause.property,
        "before": before,
        "after": after,
        "impact": cause.impact.name.lower(),
        "why": cause.why,
        "follows": _key(cause.follows),
    }


def _side(facts: Facts) -> dict[str, Any]:
    first = facts.capacity.breaks_first
    return {
        "label": facts.label,
        "usage": facts.cost.usage.name if facts.cost.usage else None,
        "usd_a_month": round(facts.cost.usd, 2) if facts.cost.complete else None,
        "priced_usd_a_month": round(facts.cost.usd, 2),
        "without_price": len(facts.cost.unknown),
        "by_use_without_figure": len(facts.cost.by_use),
        "paths": [
            {
                "name": path.name,
                "availability": _rounded(path.availability, 9),
                "downtime_minutes_a_month": _rounded(path.downtime_minutes, 2),
            }
            for path in facts.availability.paths
        ],
        "losses": [asdict(loss) for loss in facts.availability.losses],
        "breaks_first": first.name if first else None,
        "ceilings": [
            {"name": each.name, "limit": each.limit, "unit": each.unit, "used": each.used, "source": each.source}
            for each in facts.capacity.ceilings
        ],
    }


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)


def _delta(delta: Delta[Any]) -> dict[str, Any]:
    return {"added": [asdict(each) for each in delta.added], "removed": [asdict(each) for each in delta.removed]}


def _key(key: Key | None) -> dict[str, str] | None:
    return {"stack": key[0], "id": key[1]} if key else None
