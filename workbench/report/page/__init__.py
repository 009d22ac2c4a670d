"""A comparison as one HTML file: nothing is loaded from elsewhere, and nothing that a template says becomes markup."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workbench.compare import Comparison, Facts, compare
from workbench.report.page import pictures
from workbench.report.page.text import breakable
from workbench.report.page.view import Pair, Side, pair_of, side_of

FILES = Path(__file__).parent


def comparison_page(comparison: Comparison) -> str:
    """One pair, with a picture of each side and of what changes."""
    sides = comparison.before, comparison.after
    return _page([side_of(1, sides[0]), side_of(2, sides[1])], [pair_of(1, 2, comparison)], picker=False)


def stages_page(stages: Sequence[Facts]) -> str:
    """All stages in one file: every one of them beside every other, chosen by the reader."""
    numbered = list(enumerate(stages, start=1))
    sides = [side_of(number, facts) for number, facts in numbered]
    pairs = [
        pair_of(before, after, compare(old, new))
        for before, old in numbered
        for after, new in numbered
        if before != after
    ]
    return _page(sides, pairs, picker=True)


def _page(sides: Sequence[Side], pairs: Sequence[Pair], *, picker: bool) -> str:
    style = Markup(_read("page.css") + pictures.style())
    script = Markup(_read("picture.js") + _read("page.js"))
    environment = Environment(
        loader=FileSystemLoader(FILES), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["breakable"] = breakable
    return environment.get_template("page.html").render(
        sides=sides,
        pairs=pairs,
        picker=picker,
        symbols=pictures.symbols(),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _read(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """By which a content security policy knows the one style and the one script of the page."""
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
