"""A comparison as headings and rows, in the order in which a reviewer needs them. Every format lays out these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from workbench.compare.aspects.capacity import full_at
from workbench.compare.model import (
    Availability,
    Ceiling,
    Comparison,
    Delta,
    Facts,
    Finding,
    Grant,
    Kind,
    Opening,
    ResourceChange,
    Risk,
)
from workbench.report.words import arrow, difference, impact_word, percent, plain, share, span, spell_sides, usd
from workbench.templates import Cause, Impact, Key
from workbench.usage import Usage


@dataclass(frozen=True)
class Row:
    """One line of a table; `about` ties it to what it is about in the picture."""

    cells: tuple[str, ...]
    risk: Risk = Risk.ROUTINE
    about: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(plain(cell) for cell in self.cells))  # much of it is a stranger's


@dataclass(frozen=True)
class Section:
    """One question and its answer: a sentence, and the rows behind it."""

    id: str
    title: str
    answer: str
    header: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    folded: bool = False  # only for those who want to know it all
    numbers: tuple[int, ...] = field(default=())  # columns that are set to the right


def sections(comparison: Comparison) -> list[Section]:
    """All sections that have something to say."""
    every = (
        _attention(comparison),
        _notes(comparison),
        _cost(comparison),
        _capacity(comparison),
        _availability(comparison),
        _losses(comparison),
        _network(comparison),
        _rights(comparison),
        _resources(comparison),
        _every_resource(comparison),
        _properties(comparison),
    )
    return [replace(section, answer=plain(section.answer)) for section in every if section.rows or section.answer]


def _attention(comparison: Comparison) -> Section:
    findings = [finding for finding in comparison.findings if finding.risk >= Risk.NOTICE]
    answer = "" if findings else "Nothing that holds data, and nothing that visitors would notice, is touched."
    return Section("attention", "Look at this first", answer, ("risk", "what"), tuple(map(_finding, findings)))


def _finding(finding: Finding) -> Row:
    about = (finding.key,) if finding.key else ()
    return Row((finding.risk.name.lower(), finding.text), finding.risk, about)


def _notes(comparison: Comparison) -> Section:
    """What changes for the better, or without harm; the sentence about capacity is the answer of its own section."""
    rows = tuple(
        Row((finding.kind, finding.text), about=(finding.key,) if finding.key else ())
        for finding in comparison.findings
        if finding.risk < Risk.NOTICE and finding.kind is not Kind.CAPACITY
    )
    return Section("notes", "Also worth knowing", "", ("about", "what"), rows)


def _cost(comparison: Comparison) -> Section:
    before, after = comparison.before.cost, comparison.after.cost
    changed = sorted(comparison.costs, key=lambda cost: -abs((cost.after or 0) - (cost.before or 0)))
    rows = tuple(
        Row(
            (f"{_name(comparison, cost.key)}: {cost.component}", usd(cost.before), usd(cost.after)),
            about=(cost.key,),
        )
        for cost in changed
        if cost.before != cost.after
    )
    workload = f" with {after.usage.name} usage" if after.usage else ""
    totals = f"{usd(before.usd)} → {usd(after.usd)} USD a month{workload}, {difference(after.usd - before.usd)}."
    missing = "Without a price", len(before.unknown), len(after.unknown)
    by_use = "Billed by use, without a figure", len(before.by_use), len(after.by_use)
    gaps = [f" {what}: {arrow(str(one), str(other))}." for what, one, other in (missing, by_use) if one or other]
    return Section("cost", "Cost", totals + "".join(gaps), ("a month in USD", "before", "after"), rows, numbers=(1, 2))


def _capacity(comparison: Comparison) -> Section:
    before, after = ({each.name: each for each in side.capacity.ceilings} for side in _sides(comparison))
    rows = tuple(_ceiling(comparison, before.get(name), after.get(name)) for name in dict.fromkeys([*after, *before]))
    first = [_first(side) for side in _sides(comparison)]
    answer = f"Full first: {arrow(*first)}." if any(first) else ""
    header = ("ceiling", "before", "after", "used at peak", "full at users a day")
    return Section("capacity", "Capacity", answer, header, rows, numbers=(3, 4))


def _first(side: Facts) -> str:
    first = side.capacity.breaks_first
    if first is None:
        return "unknown"
    users = _full(first, side.cost.usage)
    return first.name + (f", at {users} users a day" if users != "-" else "")


def _ceiling(comparison: Comparison, before: Ceiling | None, after: Ceiling | None) -> Row:
    there = after or before
    assert there is not None
    users = _full(after, comparison.after.cost.usage)
    cells = there.name, _limit(before), _limit(after), _share(after), users
    return Row(cells, about=(there.key,) if there.key else ())


def _limit(ceiling: Ceiling | None) -> str:
    if ceiling is None:
        return "-"
    if ceiling.limit is None:
        return "unknown"
    figure = f"{ceiling.limit:,.0f}" if ceiling.limit >= 100 else f"{ceiling.limit:.3g}"
    return f"{figure} {ceiling.unit}".strip()


def _share(ceiling: Ceiling | None) -> str:
    return "-" if ceiling is None else "unknown" if ceiling.share is None else share(ceiling.share)


def _full(ceiling: Ceiling | None, usage: Usage | None) -> str:
    users = full_at(ceiling, usage) if ceiling is not None and usage is not None else None
    return "-" if users is None else f"{users:,.0f}"


def _availability(comparison: Comparison) -> Section:
    before, after = ({path.name: path for path in side.availability.paths} for side in _sides(comparison))
    rows = tuple(
        Row(
            (
                name,
                *(percent(side[name].availability) if name in side else "-" for side in (before, after)),
                *(span(side[name].downtime_minutes) if name in side else "-" for side in (before, after)),
            )
        )
        for name in dict.fromkeys([*after, *before])
    )
    header = ("path", "before", "after", "down a month before", "after")
    answer = "What providers commit to, multiplied along each path: thresholds for refunds, not measurements."
    return Section(
        "availability", "Availability", answer if rows else "", header, rows if rows else (), numbers=(1, 2, 3, 4)
    )


def _losses(comparison: Comparison) -> Section:
    before, after = (_by_loss(side.availability) for side in _sides(comparison))
    rows = tuple(
        Row((of, *_outcome(before.get(of)), *_outcome(after.get(of))))
        for of in dict.fromkeys([*after, *before])
        if before.get(of) != after.get(of)
    )
    header = ("when lost", "before", "RTO, RPO", "after", "RTO, RPO")
    return Section("losses", "When something is lost", "", header, rows)


def _by_loss(availability: Availability) -> dict[str, Any]:
    return {loss.of: loss for loss in availability.losses}


def _outcome(loss: Any) -> tuple[str, str]:
    return ("-", "-") if loss is None else (loss.effect, f"{loss.rto}, {loss.rpo}")


def _network(comparison: Comparison) -> Section:
    entrances, openings = comparison.entrances, comparison.openings
    rows = [
        Row((sign, f"{one.kind} {one.name}", "where visitors come in", ""), about=(one.key,))
        for sign, side in _signed(entrances)
        for one in side
    ]
    rows += [_opening(sign, one) for sign, side in _signed(openings) for one in side]
    answer = _came_and_went(openings, "way in", "ways in")
    return Section("network", "Network", answer, ("", "from", "to", "ports"), tuple(rows))


def _opening(sign: str, opening: Opening) -> Row:
    risk = Risk.NOTICE if opening.everybody and sign == "+" else Risk.ROUTINE
    return Row((sign, opening.source, opening.target, f"{opening.protocol} {opening.ports}".strip()), risk)


def _rights(comparison: Comparison) -> Section:
    rows = tuple(row for sign, side in _signed(comparison.grants) for row in _grants(sign, side))
    answer = _came_and_went(comparison.grants, "right", "rights")
    return Section("rights", "Rights", answer, ("", "who", "may", "on", "if"), rows)


def _grants(sign: str, grants: Iterable[Grant]) -> Iterator[Row]:
    """What one principal may do with one resource on one line."""
    actions: dict[tuple[str, str, str, str], list[str]] = {}
    for grant in grants:
        actions.setdefault((grant.principal, grant.resource, grant.effect, grant.condition), []).append(grant.action)
    for (principal, resource, effect, condition), done in actions.items():
        may = ", ".join(done) if effect == "Allow" else f"not {', '.join(done)}"
        yield Row((sign, principal, may, resource, condition))


def _signed(delta: Delta[Any]) -> Iterator[tuple[str, Iterable[Any]]]:
    yield "+", delta.added
    yield "-", delta.removed


def _came_and_went(delta: Delta[Any], one: str, several: str) -> str:
    counts = [
        f"{len(side)} {one if len(side) == 1 else several} {word}"
        for side, word in ((delta.added, "added"), (delta.removed, "removed"))
        if side
    ]
    return f"{', '.join(counts)}." if counts else ""


def _resources(comparison: Comparison) -> Section:
    """Whatever was there before on a line of its own; what is new, block by block."""
    changes = sorted(comparison.resources, key=_by_block)
    rows = [_resource(change) for change in changes if change.impact is not Impact.CREATE]
    new = (change for change in changes if change.impact is Impact.CREATE)
    rows += [_new_block(block, list(inside)) for block, inside in groupby(new, key=lambda change: change.block)]
    return Section("resources", "Resources", totals(comparison), ("block", "resource", "", "change"), tuple(rows))


def _new_block(block: str, changes: list[ResourceChange]) -> Row:
    counts = Counter(short_type(change.type) for change in changes)
    summaries = {short_type(change.type): change.summary for change in changes if counts[short_type(change.type)] == 1}
    parts = [
        f"{name} ({count})" if count > 1 else f"{name} {summaries[name]}".strip()
        for name, count in sorted(counts.items(), key=lambda item: not summaries.get(item[0]))
    ]
    size = "1 resource" if len(changes) == 1 else f"{len(changes)} resources"
    return Row((block, size, "added", ", ".join(parts)), about=tuple(change.key for change in changes))


def _every_resource(comparison: Comparison) -> Section:
    rows = tuple(
        Row((change.block, change.name, short_type(change.type)), about=(change.key,))
        for change in sorted(comparison.resources, key=_by_block)
        if change.impact is Impact.CREATE
    )
    return Section("added", "Every added resource", "", ("block", "resource", "type"), rows, folded=True)


def _by_block(change: ResourceChange) -> tuple[str, int, str]:
    return change.block, -change.impact, change.name


def _resource(change: ResourceChange) -> Row:
    what = "new code" if change.code_only else change.summary
    name = f"{change.name} ({short_type(change.type)})"
    return Row((change.block, name, impact_word(change.impact), what), _risk(change), (change.key,))


def _risk(change: ResourceChange) -> Risk:
    if change.impact >= Impact.MAY_REPLACE:
        return Risk.DANGER if change.stateful else Risk.NOTICE
    return Risk.ROUTINE


def short_type(name: str) -> str:
    """`AWS::EC2::Instance` without what all types begin with."""
    return name.removeprefix("AWS::").replace("::", " ")


def totals(comparison: Comparison) -> str:
    """How many resources meet which fate."""
    counts: dict[str, int] = {}
    for change in comparison.resources:
        word = impact_word(change.impact)
        counts[word] = counts.get(word, 0) + 1
    words = (impact_word(impact) for impact in sorted(Impact, reverse=True))
    said = [f"{counts[word]} {word}" for word in words if word in counts]
    return f"{', '.join(said)}." if said else ""


def _properties(comparison: Comparison) -> Section:
    rows = tuple(
        Row(_cause(change, cause), _risk(change), (change.key,))
        for change in sorted(comparison.resources, key=_by_block)
        for cause in change.causes
    )
    header = ("resource", "property", "before", "after", "does")
    return Section("properties", "Every property", "", header, rows, folded=True)


def _cause(change: ResourceChange, cause: Cause) -> tuple[str, ...]:
    does = impact_word(cause.impact) + (f": {cause.why}" if cause.why else "")
    return change.name, cause.property, *spell_sides(cause), does


def _name(comparison: Comparison, key: Key) -> str:
    found = next((side.system.resource(key) for side in _sides(comparison) if side.system.resource(key)), None)
    return found.name if found else key[1]


def _sides(comparison: Comparison) -> tuple[Any, Any]:
    return comparison.before, comparison.after
