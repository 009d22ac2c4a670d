"""What is wrong with an environment, said so that it can be put right: where, which key, what was found, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from blueprint.locate import Path

_MOST_PROBLEMS = 40  # of one file in one message; nobody reads more


class BadEnvironment(Exception):
    """An environment that cannot be used; its text is the complete message, one problem a line."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file."""

    key: Path
    what: str
    found: str
    fix: str


def report(problems: list[Problem], file: str, lines: dict[Path, int]) -> BadEnvironment:
    """All problems in the order of the file; a key that is not there stands where its table does."""

    def line(problem: Problem) -> int:
        places = (lines.get(problem.key[:length]) for length in range(len(problem.key), 0, -1))
        return next((place for place in places if place is not None), 0)

    text = [
        f"{file}{f':{line(one)}' if line(one) else ''}: {dotted(one.key)}: {one.what}, found {one.found}; {one.fix}"
        for one in sorted(problems, key=line)[:_MOST_PROBLEMS]
    ]
    if len(problems) > _MOST_PROBLEMS:
        text.append(f"{file}: {len(problems) - _MOST_PROBLEMS} more problems are not shown; put these right first")
    return BadEnvironment("\n".join(text))


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """A guess at what was meant, or nothing."""
    close = get_close_matches(str(value)[:60], list(choices), n=1, cutoff=0.5) if isinstance(value, str) else []
    return f'did you mean "{close[0]}"? ' if close else ""


def dotted(key: Path) -> str:
    """A key as TOML writes it, with places in lists in brackets."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part) else shown(part))
    return text


def shown(value: object) -> str:
    """A value as TOML writes it, short and on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
    if isinstance(value, str):
        text, quote = printable(value[:61]), "'" if '"' in value[:61] else '"'
        return quote + (text if len(text) <= 60 else f"{text[:60]}...") + quote
    if isinstance(value, list):
        items = ", ".join("[...]" if isinstance(item, list) else shown(item) for item in value[:4])
        return f"[{items}{', ...' if len(value) > 4 else ''}]"
    return "a table" if isinstance(value, dict) else str(value)


def printable(text: str) -> str:
    """The text with everything written out that could confuse a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
