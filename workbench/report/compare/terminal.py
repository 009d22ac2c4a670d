"""A comparison in the terminal: colours and tables where somebody looks, plain text where it is piped."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.compare import verdict
from workbench.compare.model import Comparison, Risk
from workbench.report.compare.sections import Section, sections
from workbench.report.text import terminal_width
from workbench.report.words import plain

MOST_ROWS = 12  # of one section, unless everything is asked for
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
    for number, name in enumerate(section.header):
        table.add_column(Text(name), justify="right" if number in section.numbers else "left", overflow="fold")
    shown = section.rows if full else section.rows[:MOST_ROWS]
    for row in shown:
        style = "" if row.risk <= Risk.ROUTINE else COLOURS[row.risk]
        table.add_row(*(Text(cell, style=style) for cell in row.cells))
    console.print(table)
    if len(shown) < len(section.rows):
        console.print(Text(f"and {len(section.rows) - len(shown)} more; --full shows them", style="dim"))
