"""The pictures of the page: each side alone, and what changes between two."""

from __future__ import annotations

from markupsafe import Markup

from workbench.compare import Comparison, Facts
from workbench.compare.scene import scene
from workbench.report import picture
from workbench.report.picture.measure import visible
from workbench.report.words import plain
from workbench.templates import Key


def of_side(facts: Facts, prefix: str) -> Markup:
    """One side as it is. `prefix` keeps ids apart in a page with many pictures."""
    return Markup(picture.svg(scene(facts.system), title=plain(facts.label), idprefix=prefix))


def of_changes(comparison: Comparison, prefix: str) -> Markup:
    """The later side, with all that a comparison says about it."""
    before, after = comparison.before, comparison.after
    drawn = scene(after.system, before.system, {change.key: change for change in comparison.resources})
    title = f"{plain(before.label)} → {plain(after.label)}"
    return Markup(picture.svg(drawn, title=title, idprefix=prefix))


def symbols() -> Markup:
    """What all pictures draw with."""
    return Markup(picture.symbols())


def style() -> str:
    """How pictures look inside a page, which allows no style of their own."""
    return picture.STYLE


def token(key: Key) -> str:
    """By which rows and things in the picture find each other."""
    return visible(".".join(key))
