"""What the page shows of a comparison: the sections of every report, with figures, bars and ties to the picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markupsafe import Markup

from workbench.compare import Comparison, Facts, Risk, counted, verdict
from workbench.report.compare.sections import Section, sections
from workbench.report.page import pictures
from workbench.report.page.charts import Bars, availability_bars, capacity_bars, cost_by_block
from workbench.report.page.text import LONGEST_WORD
from workbench.report.words import difference, plain, share, span, usd
from workbench.templates import Key

SIGNS = {"added": "+", "changed": "~", "replaced": "↻", "removed": "-"}
# Longer tables are cut to this, with a button for the rest. Costs are told by block already.
SHOWN, SHOWN_COSTS = 12, 6
CAPTIONS = {
    "cost": "Every component whose cost differs",
    "capacity": "How full at the peak",
    "availability": "Down a month",
}


@dataclass(frozen=True)
class Side:
    """One side with its own picture."""

    number: int
    label: str
    picture: Markup


@dataclass(frozen=True)
class Tile:
    """One figure at the top of the page, and the section that tells more."""

    section: str
    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Line:
    """One row of a table; `keys` ties it to things in the picture."""

    cells: tuple[str, ...]
    risk: str
    keys: str = ""
    bars: Bars | None = None
    again: bool = False  # the first cell says what the row above says


@dataclass(frozen=True)
class Table:
    """Rows under headings, perhaps with bars beside their names."""

    header: tuple[str, ...]
    lines: tuple[Line, ...]
    numbers: tuple[int, ...] = ()
    caption: str = ""
    bars: bool = False
    shown: int = SHOWN

    @property
    def limit(self) -> bool:
        """True when bars have a line that they should not cross."""
        return any(line.bars is not None and line.bars.limit is not None for line in self.lines)

    @property
    def kind(self) -> str:
        """What decides how it looks: with bars, a list of things that come and go, or a plain table."""
        kind = "chart" if self.bars else {"risk": "attention", "": "signed"}.get(self.header[0], "plain")
        return " ".join([kind, f"of{len(self.header)}", *(f"short{number}" for number in self._short())])

    def _short(self) -> Iterator[int]:
        """Columns in which every word has room; bars stand behind the first one."""
        for number in range(len(self.header)):
            words = (word for line in self.lines for word in line.cells[number].split())
            if all(len(word) <= LONGEST_WORD for word in words):
                yield number + (self.bars and number > 0)


@dataclass(frozen=True)
class Part:
    """One section of the page."""

    id: str
    title: str
    answer: str
    tables: tuple[Table, ...]
    folded: bool


@dataclass(frozen=True)
class Pair:
    """Two sides beside each other, ready to be laid out."""

    before: int
    after: int
    labels: tuple[str, str]
    risk: str
    verdict: str
    counts: tuple[tuple[str, int, str], ...]
    tiles: tuple[Tile, ...]
    picture: Markup
    parts: tuple[Part, ...]


def side_of(number: int, facts: Facts) -> Side:
    return Side(number, plain(facts.label), pictures.of_side(facts, f"side{number}"))


def pair_of(before: int, after: int, comparison: Comparison) -> Pair:
    """A comparison, laid out. The two numbers are those of its sides."""
    return Pair(
        before=before,
        after=after,
        labels=(plain(comparison.before.label), plain(comparison.after.label)),
        risk=_word(comparison.risk),
        verdict=plain(verdict(comparison)),
        counts=tuple((SIGNS[what], count, what) for what, count in counted(comparison).items()),
        tiles=tuple(_tiles(comparison)),
        picture=pictures.of_changes(comparison, f"pair{before}-{after}"),
        parts=tuple(_part(section, comparison) for section in sections(comparison)),
    )


def _word(risk: Risk) -> str:
    return risk.name.lower()


# --- Figures ----------------------------------------------------------------------------------------------------------


def _tiles(comparison: Comparison) -> Iterator[Tile]:
    before, after = comparison.before, comparison.after
    change = after.cost.usd - before.cost.usd
    more = f" ({change / before.cost.usd:+.0%})" if before.cost.usd else ""
    gaps = "" if before.cost.complete and after.cost.complete else ", not all of it known"
    yield Tile("cost", "Cost of a month", f"{usd(after.cost.usd)} USD", f"{difference(change)}{more}{gaps}")
    first = after.capacity.breaks_first
    if first is not None and first.share is not None:
        yield Tile("capacity", "Full first", share(first.share), f"{plain(first.name)} at the peak")
    known = {path.name: path.downtime_minutes for path in after.availability.paths if path.downtime_minutes is not None}
    if known:
        worst = max(known, key=lambda name: known[name])
        was = next((path.downtime_minutes for path in before.availability.paths if path.name == worst), None)
        note = f"on the {plain(worst)} path" + ("" if was is None else f", before {span(was)}")
        yield Tile("availability", "Down a month", span(known[worst]), note)


# --- Sections ---------------------------------------------------------------------------------------------------------


def _part(section: Section, comparison: Comparison) -> Part:
    return Part(section.id, section.title, _seen(section.answer), tuple(_tables(section, comparison)), section.folded)


def _tables(section: Section, comparison: Comparison) -> Iterator[Table]:
    if section.id == "cost" and (costs := cost_by_block(comparison)):
        yield Table(
            ("block", "before", "after", "difference"),
            tuple(Line(cost.cells, "routine", _keys(cost.about), cost.bars) for cost in costs),
            numbers=(1, 2, 3),
            caption="USD a month by block",
            bars=True,
            shown=len(costs),
        )
    if not section.rows:
        return
    bars = _bars(section, comparison)
    yield Table(
        section.header,
        tuple(_lines(section, bars)),
        numbers=section.numbers,
        caption=CAPTIONS.get(section.id, ""),
        bars=bool(bars),
        shown=SHOWN_COSTS if section.id == "cost" else SHOWN,
    )


def _bars(section: Section, comparison: Comparison) -> dict[str, Bars]:
    """Bars by what the row is called."""
    match section.id:
        case "capacity":
            return capacity_bars(comparison)
        case "availability":
            return availability_bars(comparison)
    return {}


def _lines(section: Section, bars: dict[str, Bars]) -> Iterator[Line]:
    above = ""
    for row in section.rows:
        first = row.cells[0]
        again = section.header[0] == "block" and first == above
        yield Line(tuple(map(_seen, row.cells)), _word(row.risk), _keys(row.about), bars.get(first), again)
        above = first


def _seen(text: str) -> str:
    """Text without anything that could turn it around or hide in it, whatever it went through before."""
    return text if text.isprintable() else plain(text)


def _keys(about: Iterable[Key]) -> str:
    return " ".join(dict.fromkeys(map(pictures.token, about)))
