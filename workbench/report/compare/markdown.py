"""A comparison as the comment of a pull request: the verdict first, and always short enough to be posted."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.compare import verdict
from workbench.compare.model import Comparison, Risk
from workbench.report.compare.sections import Row, Section, sections
from workbench.report.words import escaped

MARKER = "<!-- blueprint compare -->"  # by which a workflow finds its own comment again
LONGEST = 60_000  # GitHub refuses more than 65,536 characters, and a workflow may add a line
OPEN_ROWS = 15  # longer tables are folded
SIGNS = {Risk.NONE: "✅", Risk.ROUTINE: "✅", Risk.NOTICE: "⚠️", Risk.DANGER: "🛑"}


def markdown(comparison: Comparison, *, picture: str = "", longest: int = LONGEST) -> str:
    """Rows are dropped from the last section upwards until all of it fits; how many is said."""
    every = sections(comparison)
    kept = [len(section.rows) for section in every]
    text = _compose(comparison, every, kept, picture)
    for number in range(len(every) - 1, -1, -1):
        while len(text) > longest and kept[number]:
            kept[number] = _fewer(every[number], kept[number], len(text) - longest)
            text = _compose(comparison, every, kept, picture)
        if len(text) <= longest:
            break
    return text if len(text) <= longest or not picture else markdown(comparison, longest=longest)


def _fewer(section: Section, kept: int, excess: int) -> int:
    """How many rows stay when this many characters have to go."""
    gone = 0
    while kept and gone <= excess:
        kept -= 1
        gone += len(_line(section.rows[kept].cells)) + 1
    return kept


def _compose(comparison: Comparison, every: Sequence[Section], kept: Sequence[int], picture: str) -> str:
    title = f"{escaped(comparison.before.label)} → {escaped(comparison.after.label)}"
    parts = [MARKER, f"### {SIGNS[comparison.risk]} {title}", f"**{escaped(verdict(comparison))}**"]
    if picture:
        parts.append(f"```mermaid\n{picture.strip()}\n```")
    parts += [_section(section, count) for section, count in zip(every, kept, strict=True)]
    return "\n\n".join(parts) + "\n"


def _section(section: Section, kept: int) -> str:
    answer = escaped(section.answer)
    dropped = len(section.rows) - kept
    if not kept:
        count = f"({dropped} {'row' if dropped == 1 else 'rows'} not shown)" if dropped else ""
        return " ".join(part for part in (f"**{section.title}.**", answer, count) if part)
    table = _table(section, section.rows[:kept]) + (f"\n\n{dropped} more not shown." if dropped else "")
    if section.folded or len(section.rows) > OPEN_ROWS:
        summary = " ".join(part for part in (f"<b>{section.title}</b>", answer, f"({len(section.rows)})") if part)
        return f"<details><summary>{summary}</summary>\n\n{table}\n\n</details>"
    return " ".join(part for part in (f"**{section.title}.**", answer) if part) + f"\n\n{table}"


def _table(section: Section, rows: Sequence[Row]) -> str:
    rule = ["--:" if number in section.numbers else "---" for number in range(len(section.header))]
    return "\n".join([_line(section.header), f"| {' | '.join(rule)} |", *(_line(row.cells) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escaped(cell) or ' ' for cell in cells)} |"
