"""From a path to tables and the lines of their keys; whatever the file is, the worst is a BadEnvironment."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from blueprint.locate import Path as KeyPath
from blueprint.locate import keys, locate
from blueprint.mistakes import BadEnvironment, did_you_mean, dotted, printable, shown

# Ten times any real file or line; beyond, tomllib can be kept busy for minutes.
_LARGEST_FILE = 64 * 1024
_LONGEST_LINE = 4096
_MARKS = {
    b"\xef\xbb\xbf": "begins with a byte order mark",
    b"\xff\xfe": "is in UTF-16",
    b"\xfe\xff": "is in UTF-16",
}
_DUPLICATE = ("Cannot overwrite", "Cannot declare", "Cannot mutate", "Cannot redefine", "Duplicate inline table key")
_OPEN_ENDED = ("Unclosed", "Unterminated", *_DUPLICATE)  # what tomllib notices only after the line of the key
_SYNTAX_FIXES: tuple[tuple[str | tuple[str, ...], str], ...] = (
    ("Invalid value", "put text in double quotes, numbers in none, and write true or false in lower case"),
    ("Expected '='", "write it as key = value, and text in double quotes"),
    (("Unclosed", "Unterminated", "Illegal character '\\n'"), "close the quote or bracket"),
    ("Unescaped", "write each backslash twice, or put the text in single quotes"),
    (_DUPLICATE, "keep one of the two"),
    ("", "write it as key = value, one a line; https://toml.io shows the format"),
)


def find(environment: str, folder: Path) -> tuple[Path, str]:
    """The file of an environment given by name or path, and what messages call it."""
    if environment.endswith(".toml") or "/" in environment or os.sep in environment:
        return Path(environment), printable(environment)
    return folder / f"{environment}.toml", printable(f"{folder.name}/{environment}.toml")


def read(file: Path, name: str, folder: Path) -> str:
    """The text of a file; `folder` is where to look for others when it is missing."""
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            found = "a directory" if stat.S_ISDIR(about.st_mode) else "a device or pipe"
            raise BadEnvironment(f"{name}: is not a file, found {found}; give the path of a .toml file")
        if about.st_size > _LARGEST_FILE:
            raise BadEnvironment(f"{name}: is too large, found {about.st_size} bytes; a real one has a hundred lines")
        return _decode(file.read_bytes(), name)
    except FileNotFoundError:
        known = sorted(path.stem for path in folder.glob("*.toml"))
        fix = f"{did_you_mean(file.stem, known)}the environments are: {', '.join(known) or 'none yet'}"
        raise BadEnvironment(f"{name}: there is no such file; {fix}") from None
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "no file can have this name"
        raise BadEnvironment(f"{name}: cannot be read, found: {why}; check the path and its permissions") from None


def _decode(raw: bytes, name: str) -> str:
    for mark, what in _MARKS.items():
        if raw.startswith(mark):
            raise BadEnvironment(f"{name}:1: {what}, found {mark.hex(' ')} at byte 0; save it as UTF-8 without BOM")
    try:
        text = raw.decode()
        bad = raw.find(b"\0")
    except UnicodeDecodeError as error:
        text, bad = "", error.start
    if bad >= 0:
        line = raw.count(b"\n", 0, bad) + 1
        found = f"{raw[bad : bad + 1].hex()} at byte {bad}"
        raise BadEnvironment(f"{name}:{line}: is not UTF-8 text, found {found}; save it as UTF-8 without BOM")
    return text


def parse(text: str, name: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """The tables of a text, and the line of each key."""
    for number, row in enumerate(text.split("\n"), 1):
        if len(row) > _LONGEST_LINE:
            about = next((f"{dotted(key)}: " for key, line in keys(text) if line == number), "")
            raise BadEnvironment(f"{name}:{number}: {about}is too long, found {len(row)} characters; use several lines")
    try:
        given = tomllib.loads(text)
    except RecursionError:
        raise BadEnvironment(f"{name}: is nested too deep, found too many brackets; no setting needs that") from None
    except ValueError as error:
        raise BadEnvironment(f"{name}:{_explain(str(error), text)}") from None
    if not given:
        raise BadEnvironment(f"{name}: is empty, found no settings; begin with a copy of environments/sandbox.toml")
    return given, locate(text)


def _explain(message: str, text: str) -> str:
    """tomllib's message as line, key, what is wrong, what stands there, and what to do."""
    parts = re.fullmatch(r"(.*?)(?: \(at (?:line (\d+), column (\d+)|end of document)\))?", message, re.DOTALL)
    why, row, column = parts.groups() if parts else (message, None, None)
    rows = [written.strip() for written in text.replace("\r\n", "\n").split("\n")]
    line = int(row) if row else max((number for number, written in enumerate(rows, 1) if written), default=1)
    before = [(key, at) for key, at in keys(text) if at <= line]
    if why.startswith(_DUPLICATE):
        first: dict[KeyPath, int] = {}
        for key, at in before:
            if key in first:
                what = f"is given twice, first in line {first[key]}"
                return f"{at}: {dotted(key)}: {what}, found {shown(rows[at - 1])}; remove one of the two"
            first[key] = at
    what = "is both a value and a table" if why.startswith(_DUPLICATE) else f"is not TOML: {printable(why)[:120]}"
    if column and not why.startswith(_DUPLICATE):
        what += f" at column {column}"
    fix = next(fix for start, fix in _SYNTAX_FIXES if why.startswith(start))
    anywhere = row is None or why.startswith(_OPEN_ENDED)
    about = next((f"{dotted(key)}: " for key, at in reversed(before) if at == line or anywhere), "")
    return f"{line}: {about}{what}, found {shown(rows[line - 1])}; {fix}"
