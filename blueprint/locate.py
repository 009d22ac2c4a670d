"""Where in a TOML text each key stands: tomllib tells what a file says, but not on which line it says so."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress

Path = tuple[str | int, ...]
"""Keys from the outside in; a number is a place in a list, counted from 0."""

_DEEPEST = 16  # names in one dotted key; where a deeper one begins is enough, and a hostile file stays cheap to read
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_END_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED_KEY = re.compile(r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'")
# A multi-line string may end in up to two quotes of its own before the three that close it.
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}|' r"'''(?:[^']|'(?!''))*+'{3,5}|" + _QUOTED_KEY.pattern,
    re.DOTALL,
)
_OTHER_VALUE = re.compile(r"[^\[\]{},#\n\"']+")


def keys(text: str) -> list[tuple[Path, int]]:
    """Every table, key and list item with its line, in the order written, as far as the text is TOML."""
    scan = _Scan(text.replace("\r\n", "\n"))
    with suppress(ValueError, RecursionError):  # the rest is not TOML, which tomllib says better
        scan.document()
    return scan.found


def locate(text: str) -> dict[Path, int]:
    """The line on which each key of a TOML text first stands."""
    lines: dict[Path, int] = {}
    for path, line in keys(text):
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
    return lines


class _Scan:
    """One pass over a text that tomllib has accepted: it can tell keys apart without judging values."""

    def __init__(self, text: str) -> None:
        self.found: list[tuple[Path, int]] = []
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0  # the line is counted up to here
        self._last_item: dict[Path, int] = {}  # of each list of tables: what follows belongs to its last one

    def document(self) -> None:
        table: Path = ()
        self._skip_blank()
        while self._at < len(self._text):
            line = self._here()
            if self._take("[["):
                *outer, name = self._key()
                tables = (*self._inside(tuple(outer)), name)
                self._last_item[tables] = self._last_item.get(tables, -1) + 1
                table = (*tables, self._last_item[tables])
                self.found.append((table, line))
                self._expect("]]")
            elif self._take("["):
                table = self._inside(self._key())
                self.found.append((table, line))
                self._expect("]")
            else:
                self._setting(table)
            self._match(_END_OF_LINE)
            self._skip_blank()

    def _setting(self, table: Path) -> None:
        line = self._here()
        path = (*table, *self._key())
        self.found.append((path, line))
        self._expect("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip_blank()
        if self._take("["):
            for number in self._items("]"):
                self.found.append(((*path, number), self._here()))
                self._value((*path, number))
        elif self._take("{"):
            for _ in self._items("}"):
                self._setting(path)
        else:
            self._match(_STRING, _OTHER_VALUE)

    def _items(self, closing: str) -> Iterator[int]:
        """The start of each item, until the bracket that closes the list or table."""
        self._skip_blank()
        number = 0
        while not self._take(closing):
            yield number
            self._skip_blank()
            if not self._take(","):
                self._expect(closing)
                return
            self._skip_blank()
            number += 1

    def _key(self) -> Path:
        parts = []
        while True:
            self._skip_blank()
            part = self._match(_BARE_KEY, _QUOTED_KEY)
            parts.append(part if _BARE_KEY.fullmatch(part) else str(tomllib.loads(f"key = {part}")["key"]))
            self._skip_blank()
            if not self._take("."):
                return tuple(parts[:_DEEPEST])

    def _inside(self, key: Path) -> Path:
        path: Path = ()
        for part in key:
            path = (*path, part)
            if path in self._last_item:
                path = (*path, self._last_item[path])
        return path

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip_blank(self) -> None:
        self._match(_BLANK)

    def _take(self, symbol: str) -> bool:
        found = self._text.startswith(symbol, self._at)
        self._at += len(symbol) * found
        return found

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            raise ValueError(symbol)

    def _match(self, *patterns: re.Pattern[str]) -> str:
        for pattern in patterns:
            match = pattern.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                return match.group()
        raise ValueError(self._at)
