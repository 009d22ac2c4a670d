"""One file as data: JSON or YAML of anybody's, or the reason why it is neither, or would harm its readers."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any, NoReturn

# CloudFormation itself takes 1 MB and far less depth; these are for files that were never meant for it.
LARGEST = 20 * 2**20
DEEPEST = 80
MOST_VALUES = 2_000_000


class UnreadableTemplateError(Exception):
    """Something on disk that should be a template and is not."""

    def __init__(self, reason: str) -> None:
        # Part of the reason may come out of the file: it must neither colour nor turn around what a terminal shows.
        super().__init__("".join(char if char.isprintable() else "?" for char in reason[:1_000]))


def read(file: Path) -> dict[str, Any]:
    """The mapping that a file holds."""
    try:
        text = _text(file)
    except OSError as problem:
        raise UnreadableTemplateError(f"{file}: {problem.strerror}") from problem
    except ValueError as problem:
        raise UnreadableTemplateError(f"{file} is not text: {problem}") from problem
    is_json = file.suffix == ".json"
    try:
        loaded = _json(text) if is_json else _any_format(text)
        check(loaded)
    except ValueError as problem:
        raise UnreadableTemplateError(f"{file} is not {'JSON' if is_json else 'a template'}: {problem}") from problem
    except RecursionError as problem:
        raise UnreadableTemplateError(f"{file} is nested too deeply") from problem
    if not isinstance(loaded, dict):
        raise UnreadableTemplateError(f"{file} holds {type(loaded).__name__}, not a template")
    return loaded


def _text(file: Path) -> str:
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise UnreadableTemplateError(f"{file} is not a regular file")
    if about.st_size > LARGEST:
        raise UnreadableTemplateError(f"{file} is larger than {LARGEST // 2**20} MB")
    return file.read_text(encoding="utf-8-sig")


def _any_format(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return _json(text)  # tabs are fine here, and not in YAML
        except json.JSONDecodeError:
            pass  # it may still be YAML that begins with a brace
    from workbench.templates.short_forms import load  # only templates in YAML need a YAML parser

    return load(text)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)} stands twice")
    return made


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def check(loaded: Any) -> None:
    """ValueError when data is nested or repeated beyond reason, or holds what can be neither compared nor written."""
    waiting = [(loaded, 1)]
    looked_at = 0
    while waiting:
        value, depth = waiting.pop()
        looked_at += 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")
        if looked_at > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES:,} values, once what it repeats is written out")
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            if not value.isascii():
                value.encode()  # half a character, as "\ud800" makes it, is a ValueError too
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{value} is no number")
        elif not isinstance(value, int | None):
            raise ValueError(f"holds {type(value).__name__}, which CloudFormation does not know")
