"""The icons of AWS services, as symbols that a page holds once and uses wherever it wants."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_SVG = re.compile(r'<svg[^>]*viewBox="([^"]+)"[^>]*>(.*)</svg>', re.DOTALL)


@cache
def icons() -> dict[str, tuple[str, str]]:
    """Name -> the box that an icon is drawn in, and how it is drawn."""
    found = {}
    folder = files("workbench.report.picture") / "icons"
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".svg"):
            match = _SVG.search(file.read_text("utf-8"))
            if match:
                found[file.name.removesuffix(".svg")] = (match[1], match[2])
    return found


def symbols(names: frozenset[str] | None = None) -> str:
    """The definitions that every picture of a page shares; all icons unless `names` says which."""
    drawn = [
        f'<symbol id="icon-{name}" viewBox="{box}">{body}</symbol>'
        for name, (box, body) in icons().items()
        if names is None or name in names
    ]
    return f'<svg class="symbols" width="0" height="0" aria-hidden="true"><defs>{"".join(drawn)}</defs></svg>'
