"""One estimate as text, as Markdown and as data: every figure with its price and the day it was read."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.cost import Estimate, Line, Price, Unpriced
from workbench.cost.refresh import Refreshed
from workbench.report.words import escaped, plain
from workbench.usage import Usage

GAP = "  "
HEADER = ("a month", "how much x price", "USD", "read on")
BASIS = (
    "List prices on demand, without taxes, discounts, support or reservations. Free allowances belong to an account: "
    "those for traffic are taken as if nothing else ran in it, the others are left out."
)


@dataclass(frozen=True)
class Row:
    """Lines of one stack that differ only in the resource."""

    stack: str
    label: str
    amount: str
    cents: int
    price: Price


def text(estimate: Estimate, label: str, width: int) -> str:
    """Stack by stack, the dearest first; what a reader adds up is the total."""
    rows = [("", *HEADER[1:])]
    for stack, cents, inside in _stacks(estimate):
        rows.append((plain(stack), "", _usd(cents), ""))
        rows += [(f"  {plain(row.label)}", row.amount, _usd(row.cents), row.price.as_of) for row in inside]
    rows.append(("total", "", _usd(round(estimate.usd * 100)), ""))
    remarks = [f"! {plain(remark)}" for remark in estimate.remarks]
    paragraphs = [_headline(estimate, plain(label)), _workload(estimate.usage), _table(rows, width), *remarks]
    if estimate.unknown:
        paragraphs.append(_listed(_unknown_title(estimate), _folded(estimate.unknown), plain))
    if estimate.by_use:
        paragraphs.append(_listed(_by_use_title(estimate), _folded(estimate.by_use), plain))
    paragraphs += _footing(estimate)
    return "\n\n".join(_filled(paragraph, width) for paragraph in paragraphs)


def markdown(estimate: Estimate, label: str) -> str:
    """The same for documents and pull requests."""
    table = [_cells(HEADER), "| --- | --- | --: | --- |"]
    for stack, cents, inside in _stacks(estimate):
        table.append(_cells((f"**{escaped(stack)}**", "", f"**{_usd(cents)}**", "")))
        table += [_cells((escaped(row.label), row.amount, _usd(row.cents), row.price.as_of)) for row in inside]
    table.append(_cells(("**total**", "", f"**{_usd(round(estimate.usd * 100))}**", "")))
    parts = [f"**{_headline(estimate, escaped(label))}.** {_workload(estimate.usage)}", "\n".join(table)]
    parts += [f"⚠️ {escaped(remark)}" for remark in estimate.remarks]
    if estimate.unknown:
        parts.append(_details(_unknown_title(estimate), _folded(estimate.unknown), escaped))
    if estimate.by_use:
        parts.append(_details(_by_use_title(estimate), _folded(estimate.by_use), escaped))
    return "\n\n".join([*parts, *_footing(estimate)]) + "\n"


def as_data(estimate: Estimate, label: str) -> dict[str, Any]:
    """The same for machines; the total is null when something in it is unknown."""
    oldest = estimate.oldest
    return {
        "label": label,
        "usage": None if estimate.usage is None else estimate.usage.name,
        "usd_a_month": estimate.usd if estimate.complete else None,
        "priced_usd_a_month": estimate.usd,
        "unknown_count": len(estimate.unknown),
        "by_use_count": len(estimate.by_use),
        "oldest_price": None if oldest is None else oldest.as_of,
        "subtotals": {stack: cents / 100 for stack, cents, _ in _stacks(estimate)},
        "lines": [_line(line) for line in estimate.lines],
        "unknown": [_unpriced(each) for each in estimate.unknown],
        "by_use": [_unpriced(each) for each in estimate.by_use],
        "remarks": list(estimate.remarks),
    }


def _line(line: Line) -> dict[str, Any]:
    price = line.price
    return {
        "stack": line.stack,
        "resource": line.resource,
        "name": line.name,
        "component": line.component,
        "by_use": line.by_use,
        "quantity": line.quantity,
        "unit": price.unit,
        "usd_a_unit": price.usd,
        "usd": line.usd,
        "price": {
            "service": price.service,
            "item": price.item,
            "region": price.region,
            "above": price.above,
            "as_of": price.as_of,
            "confidence": price.confidence,
            "source": price.source,
        },
    }


def _unpriced(each: Unpriced) -> dict[str, Any]:
    return {
        "stack": each.stack,
        "resource": each.resource,
        "name": each.name,
        "type": each.type,
        "what": each.what,
    }


def refreshed(result: Refreshed, *, dry_run: bool) -> str:
    """What became of the price list."""
    lines = [f"{_place(old)}: {_price(old.usd)} -> {_price(new.usd)} USD a {new.unit}" for old, new in result.changed]
    lines += [f"{_place(new)}: new, {_price(new.usd)} USD a {new.unit}" for new in result.added]
    lines += [f"{_place(price)}: not found, {why}" for price, why in result.missing]
    counts = (
        f"{_things(len(result.changed), 'price')} changed, {len(result.added)} new, {result.confirmed} confirmed, "
        f"{len(result.missing)} not found"
    )
    return "\n".join([*lines, counts + ("; nothing written" if dry_run else "")])


def _place(price: Price) -> str:
    above = f" above {price.above:,.0f}" if price.above else ""
    return f"{price.service}, {price.item}, {price.region}{above}"


# --- What all forms say -----------------------------------------------------------------------------------------------


def _headline(estimate: Estimate, label: str) -> str:
    usage = "at rest" if estimate.usage is None else f"at the usage {estimate.usage.name}"
    known = "" if estimate.complete else f" and {_things(len(estimate.unknown), 'unknown cost')}"
    return f"{label} {usage}: {estimate.usd:,.2f} USD a month{known}"


def _workload(usage: Usage | None) -> str:
    if usage is None:
        return "What is billed while nobody visits."
    return (
        f"{usage.users_a_day:,} users a day, {usage.mean_per_second:,.1f} requests a second on average and "
        f"{usage.peak_per_second:,.1f} at the peak, {usage.orders_a_month:,.0f} orders a month."
    )


def _stacks(estimate: Estimate) -> list[tuple[str, int, list[Row]]]:
    """Each stack in the order of deployment with its cents and its rows."""
    rows = list(_rows(estimate.lines))
    found = []
    for stack in dict.fromkeys(row.stack for row in rows):
        inside = sorted((row for row in rows if row.stack == stack), key=lambda row: (-row.cents, row.label))
        found.append((stack, sum(row.cents for row in inside), inside))
    return found


def _rows(lines: Sequence[Line]) -> Iterator[Row]:
    """Forty alarms are one row."""
    alike: dict[tuple[str, str, Price], list[Line]] = {}
    for line in lines:
        alike.setdefault((line.stack, line.component, line.price), []).append(line)
    for (stack, component, price), same in alike.items():
        names = sorted({line.name for line in same})
        blocks = {name.partition("/")[0] for name in names}
        where = names[0] if len(names) == 1 else f"{len(names)} in {blocks.pop()}" if len(blocks) == 1 else len(names)
        free = ", free allowance" if price.usd == 0 else ""
        label = f"{where}: {component}{free}" if len(blocks) <= 1 else f"{component}, {where} times{free}"
        amount = f"{_number(sum(line.quantity for line in same))} {_unit(price)} x {_price(price.usd)}"
        yield Row(stack, label, " ".join(amount.split()), sum(line.cents for line in same), price)


def _unit(price: Price) -> str:
    return {"hour": "h", "month": ""}.get(price.unit, price.unit.removesuffix("-month"))


def _number(quantity: float) -> str:
    if quantity >= 1000 or quantity == int(quantity):
        return f"{quantity:,.0f}"
    return f"{quantity:,.2f}" if quantity >= 1 else f"{quantity:.2g}"


def _price(usd: float) -> str:
    return f"{usd:.12f}".rstrip("0").rstrip(".")


def _usd(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def _folded(gaps: Sequence[Unpriced]) -> list[str]:
    """The same gap of several resources once, with their number."""
    alike: dict[tuple[str, str], list[str]] = {}
    for gap in gaps:
        alike.setdefault((gap.type, gap.what), []).append(gap.name)
    return [
        f"{type_.removeprefix('AWS::')} {names[0] if len(names) == 1 else f'({len(names)})'}: {what}"
        for (type_, what), names in sorted(alike.items())
    ]


def _unknown_title(estimate: Estimate) -> str:
    return f"{_things(len(estimate.unknown), 'unknown cost')}, not in the total"


def _by_use_title(estimate: Estimate) -> str:
    return f"{_things(len(estimate.by_use), 'cost')} by use without a figure, not in the total"


def _things(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _footing(estimate: Estimate) -> list[str]:
    oldest = estimate.oldest
    if oldest is None:
        return [BASIS]
    return [f"Oldest price: {oldest.as_of} ({oldest.service}, {oldest.item}, {oldest.region}). {BASIS}"]


# --- Layout -----------------------------------------------------------------------------------------------------------


def _table(rows: Sequence[tuple[str, str, str, str]], width: int) -> str:
    """Numbers to the right and never broken; what is counted wraps."""
    amount, usd, day = (max(len(row[column]) for row in rows) for column in (1, 2, 3))
    room = max(20, width - amount - usd - day - 3 * len(GAP))
    lines = []
    for label, *cells in rows:
        indent = label[: len(label) - len(label.lstrip())]
        first, *others = textwrap.wrap(label, room, subsequent_indent=indent + "  ") or [""]
        numbers = (cells[0].rjust(amount), cells[1].rjust(usd), cells[2].ljust(day))
        lines.append(GAP.join((first.ljust(room), *numbers)).rstrip())
        lines += others
    return "\n".join(lines)


def _listed(title: str, entries: Sequence[str], clean: Callable[[str], str]) -> str:
    return "\n".join([f"{title}:", *(f"  {clean(entry)}" for entry in entries)])


def _filled(paragraph: str, width: int) -> str:
    if "\n" not in paragraph:
        return textwrap.fill(paragraph, width)
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent="    ") if len(line) > width else line
        for line in paragraph.split("\n")
    )


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell or ' ' for cell in cells)} |"


def _details(title: str, entries: Sequence[str], clean: Callable[[str], str]) -> str:
    listed = "\n".join(f"- {clean(entry)}" for entry in entries)
    return f"<details><summary>{title}</summary>\n\n{listed}\n\n</details>"
