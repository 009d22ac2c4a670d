"""Plain text for terminals: tables and lists that wrap to the width they are given."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

GAP = "  "
WIDEST = 120


def terminal_width() -> int:
    """The terminal's width within reason; 100 when the output goes to a file or a pipe."""
    return max(60, min(WIDEST, shutil.get_terminal_size(fallback=(100, 24)).columns))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> str:
    """Columns with a heading, wrapped between words so that the whole is no wider than `width` where words allow."""
    widths = _widths([header, *rows], width)
    lines = [*_wrapped(header, widths), GAP.join("-" * size for size in widths)]
    tall = any(len(_wrapped(row, widths)) > 1 for row in rows)
    for number, row in enumerate(rows):
        if tall and number:
            lines.append("")
        lines += _wrapped(row, widths)
    return "\n".join(lines)


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Every column fits its longest word; what is left goes to the narrowest one that still has to wrap."""
    columns = list(zip(*rows, strict=True))
    widths = [max(len(word) for cell in column for word in ["", *_words(cell)]) for column in columns]
    natural = [max(len(cell) for cell in column) for column in columns]
    for _ in range(width - sum(widths) - len(GAP) * (len(columns) - 1)):
        wrapping = [number for number, size in enumerate(widths) if size < natural[number]]
        if not wrapping:
            break
        widths[min(wrapping, key=lambda number: widths[number])] += 1
    return widths


def _words(cell: str) -> list[str]:
    """What cannot be broken any further."""
    return textwrap.wrap(cell, 1, break_long_words=False)


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [textwrap.wrap(cell, size) or [""] for cell, size in zip(cells, widths, strict=True)]
    height = max(len(column) for column in columns)
    padded = [column + [""] * (height - len(column)) for column in columns]
    return [
        GAP.join(part.ljust(size) for part, size in zip(line, widths, strict=True)).rstrip()
        for line in zip(*padded, strict=True)
    ]


def pairs(items: Sequence[tuple[str, str]], *, width: int, indent: str = "") -> str:
    """A list of labels, each with its text beside it."""
    label = max((len(name) for name, _ in items), default=0)
    return "\n".join(
        textwrap.fill(
            text,
            width,
            initial_indent=indent + name.ljust(label) + GAP,
            subsequent_indent=indent + " " * label + GAP,
        )
        for name, text in items
    )
