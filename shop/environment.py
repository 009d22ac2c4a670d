"""Where a process finds its settings: its environment, and over it the file that SHOP_SETTINGS names.

A server's workers do not read the file: the process that watches over them does, and hands down what makes sense.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from shop.settings import BadSetting, Settings, load

LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def variables(own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment as the file changes it; raises BadSetting when the file cannot be read."""
    file = own.get("SHOP_SETTINGS", "")
    return {**own, **(_read(Path(file)) if file else {})}


def settings(*, keep: bool = False) -> Settings:
    """What this process is to be like. `keep` also puts the file into the environment, for the AWS libraries."""
    found = load(given := variables())
    if keep:
        os.environ.update(given)
        os.environ.setdefault("AWS_DEFAULT_REGION", found.region)
    return found


class HandedDown:
    """What a process hands down to those that it starts: the last settings that made sense, whenever they start."""

    def __init__(self) -> None:
        self._own = dict(os.environ)
        self.read_again()

    def read_again(self) -> None:
        """Raises BadSetting, and then everything stays as it was."""
        given = variables(self._own)
        load(given)
        given.pop("SHOP_SETTINGS", None)
        os.environ.clear()
        os.environ.update(given)


def _read(file: Path) -> dict[str, str]:
    """Lines of KEY=VALUE as systemd reads them, with or without quotes around the value."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"SHOP_SETTINGS is {str(file)!r}, which cannot be read: {error}") from None
    found = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith(("#", ";")):
            continue
        parts = LINE.fullmatch(line)
        if parts is None:
            raise BadSetting(f"{file}, line {number}: not of the form KEY=VALUE")
        value = parts[2].strip()
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
        found[parts[1]] = value[1:-1] if quoted else value
    return found
