"""A comparison in the terminal: colours and tables where somebody looks, plain text where it is piped."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from workbench.compare import verdict
from workbench.compare.model import Comparison, Risk
from workbench.report.compare.sections import Row, Section, sections
from workbench.report.text import terminal_width
from workbench.report.words import plain

MOST_ROWS = 12  # of one section, unless everything is asked for
GAP = 3  # between columns
LONGEST_WORD = 24  # what is longer, such as an ARN, is broken
_SEAM = re.compile(r"(?<=[/:.,])")  # where it is best broken
COLOURS = {Risk.NONE: "green", Risk.ROUTINE: "green", Risk.NOTICE: "yellow", Risk.DANGER: "bold red"}


def text(comparison: Comparison, *, full: bool = False, coloured: bool = False) -> str:
    """The whole report. Without `full`, long lists say how much more there is."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=terminal_width(),
        force_terminal=coloured,
        no_color=not coloured,
        highlight=False,
        legacy_windows=False,
    )
    title = f"{plain(comparison.before.label)} → {plain(comparison.after.label)}"
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(Text(verdict(comparison), style=COLOURS[comparison.risk]))
    for section in sections(comparison):
        if full or not section.folded:
            _section(console, section, full=full)
    hidden = [section for section in sections(comparison) if section.folded and not full]
    if any(section.rows for section in hidden):
        console.print()
        count = sum(len(section.rows) for section in hidden)
        console.print(Text(f"{count} differences of single properties are not shown; --full shows them.", style="dim"))
    if comparison.resources:  # once more, where a terminal shows it
        console.print()
        console.print(Text(verdict(comparison), style=COLOURS[comparison.risk]))
    lines = (line.rstrip() for line in buffer.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _section(console: Console, section: Section, *, full: bool) -> None:
    console.print()
    console.print(Text(section.title, style="bold"))
    if section.answer:
        console.print(Text(section.answer))
    if not section.rows:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    shown = section.rows if full else section.rows[:MOST_ROWS]
    widths = _widths(section, shown, console.width)
    for number, (name, width) in enumerate(zip(section.header, widths, strict=True)):
        justify: JustifyMethod = "right" if number in section.numbers else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", width=width)
    for row in shown:
        style = "" if row.risk <= Risk.ROUTINE else COLOURS[row.risk]
        table.add_row(*(Text(_broken(cell, width), style) for cell, width in zip(row.cells, widths, strict=True)))
    console.print(table)
    if len(shown) < len(section.rows):
        console.print(Text(f"and {len(section.rows) - len(shown)} more; --full shows them", style="dim"))


def _widths(section: Section, rows: Sequence[Row], width: int) -> list[int]:
    """Every column fits its words; what is left goes to the narrowest one that still has to wrap."""
    columns = list(zip(section.header, *(row.cells for row in rows), strict=True))
    natural = [max(map(cell_len, column)) for column in columns]
    words = [max((cell_len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    room = width - GAP * (len(columns) - 1)
    fitting = (cap for cap in range(LONGEST_WORD, 1, -1) if sum(min(size, cap) for size in words) <= room)
    cap = next(fitting, 1)
    widths = [min(size, cap) for size in words]
    for _ in range(room - sum(widths)):
        wrapping = [number for number, size in enumerate(widths) if size < natural[number]]
        if not wrapping:
            break
        widths[min(wrapping, key=lambda number: widths[number])] += 1
    return widths


def _broken(cell: str, width: int) -> str:
    """Words that are too long for their column in pieces that fit, as far as they have seams."""
    return " ".join(piece for word in cell.split(" ") for piece in _pieces(word, width))


def _pieces(word: str, width: int) -> list[str]:
    pieces = [""]
    for part in _SEAM.split(word) if cell_len(word) > width else [word]:
        if pieces[-1] and cell_len(pieces[-1] + part) > width:
            pieces.append("")
        pieces[-1] += part
    return pieces
