"""Figures as bars: what each block costs, how much of each ceiling is used, how long each path is down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workbench.compare import Comparison, Facts
from workbench.compare.model import Ceiling
from workbench.cost import Line as CostLine
from workbench.report.compare.sections import short_type
from workbench.report.words import difference, plain, share, span, usd
from workbench.templates import Key

WIDTH = 100.0  # of a bar that fills its column
MOST_BLOCKS = 10
FULL = 80.0  # where a ceiling is drawn, so that what goes beyond it can be seen


@dataclass(frozen=True)
class Bars:
    """Two bars of one scale; None where a side has none. `limit` is a line that they should not cross."""

    before: float | None
    after: float | None
    said: str
    limit: float | None = None
    badge: str = ""

    @property
    def over(self) -> bool:
        """True when the later side goes beyond the line."""
        return self.limit is not None and self.after is not None and self.after > self.limit


@dataclass(frozen=True)
class BlockCost:
    """What one block costs on both sides."""

    cells: tuple[str, ...]
    about: tuple[Key, ...]
    bars: Bars | None


# --- Cost -------------------------------------------------------------------------------------------------------------


def cost_by_block(comparison: Comparison) -> list[BlockCost]:
    """Blocks, the dearest first, small ones together, and the total."""
    sides = [_by_block(facts) for facts in (comparison.before, comparison.after)]
    blocks = sorted({*sides[0], *sides[1]}, key=lambda block: (-max(_cents(side, block) for side in sides), block))
    if not blocks:
        return []
    whole = max(_cents(side, block) for side in sides for block in blocks) or 1
    shown = blocks if len(blocks) <= MOST_BLOCKS + 1 else blocks[:MOST_BLOCKS]
    rows = [_block_cost(plain(block), [block], sides, whole) for block in shown]
    rest = blocks[len(shown) :]
    if rest:
        others = _block_cost(f"{len(rest)} others", rest, sides, whole)
        rows.append(BlockCost(others.cells, (), others.bars))
    total = _block_cost("Total", blocks, sides, None)
    return [*rows, BlockCost(total.cells, (), None)]


Side = dict[str, list[CostLine]]


def _by_block(facts: Facts) -> Side:
    found: Side = {}
    for line in facts.cost.lines:
        found.setdefault(_block(facts, line), []).append(line)
    return found


def _block(facts: Facts, line: CostLine) -> str:
    """The outermost construct, or the service where there are no constructs."""
    if "/" in line.name:
        return line.name.partition("/")[0]
    resource = facts.system.resource(line.key)
    return short_type(resource.type).partition(" ")[0] if resource else line.name


def _cents(side: Side, *blocks: str) -> int:
    return sum(line.cents for block in blocks for line in side.get(block, ()))


def _block_cost(name: str, blocks: list[str], sides: list[Side], whole: int | None) -> BlockCost:
    before, after = (_cents(side, *blocks) for side in sides)
    texts = [_usd(side, blocks, cents) for side, cents in zip(sides, (before, after), strict=True)]
    change = (after - before) / 100
    about = sorted({line.key for side in sides for block in blocks for line in side.get(block, ())})
    bars = None
    if whole is not None:
        bars = Bars(_scaled(before, whole), _scaled(after, whole), f"before {texts[0]}, after {texts[1]}")
    return BlockCost((name, *texts, difference(change) if change else ""), tuple(about), bars)


def _usd(side: Side, blocks: list[str], cents: int) -> str:
    return usd(cents / 100) if any(block in side for block in blocks) else "-"


def _scaled(value: float, longest: float) -> float:
    """How long a bar is; small ones put together may be longer than the longest single one."""
    return min(value / longest * WIDTH, WIDTH)


# --- Capacity ---------------------------------------------------------------------------------------------------------


def capacity_bars(comparison: Comparison) -> dict[str, Bars]:
    """The share of each ceiling that is used at the peak; a full one reaches the line."""
    before, after = (_ceilings(facts) for facts in (comparison.before, comparison.after))
    first = comparison.after.capacity.breaks_first
    return {
        name: Bars(
            _filled(before.get(name)),
            _filled(after.get(name)),
            f"used at the peak: before {_share(before.get(name))}, after {_share(after.get(name))}",
            limit=FULL,
            badge="full first" if first is not None and plain(first.name) == name else "",
        )
        for name in {**after, **before}
    }


def _ceilings(facts: Facts) -> dict[str, Ceiling]:
    return {plain(ceiling.name): ceiling for ceiling in facts.capacity.ceilings}


def _filled(ceiling: Ceiling | None) -> float | None:
    return None if ceiling is None or ceiling.share is None else min(ceiling.share * FULL, WIDTH)


def _share(ceiling: Ceiling | None) -> str:
    return "nothing" if ceiling is None else "unknown" if ceiling.share is None else share(ceiling.share)


# --- Availability -----------------------------------------------------------------------------------------------------


def availability_bars(comparison: Comparison) -> dict[str, Bars]:
    """Minutes a month that each path may be down."""
    before, after = (dict(_downtimes(facts)) for facts in (comparison.before, comparison.after))
    longest = max((value for value in (*before.values(), *after.values()) if value is not None), default=0) or 1
    return {
        name: Bars(
            _long(before.get(name), longest),
            _long(after.get(name), longest),
            f"down a month: before {_down(before, name)}, after {_down(after, name)}",
        )
        for name in {**after, **before}
    }


def _long(value: float | None, longest: float) -> float | None:
    return None if value is None else _scaled(value, longest)


def _downtimes(facts: Facts) -> Iterator[tuple[str, float | None]]:
    return ((path.name, path.downtime_minutes) for path in facts.availability.paths)


def _down(side: dict[str, float | None], name: str) -> str:
    return span(side[name]) if name in side else "nothing"
