"""Values as people read them: one line, nothing that could command a terminal or turn text around, never too long."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from workbench.compare.aspects.resources import HIDDEN, is_secret
from workbench.templates import Cause, Impact, Reference

LONGEST = 120
# What templates of strangers may hold and no reader can see: controls, bidi marks, surrogates, private use.
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
# Whatever could start markup, end a cell, or become a link, a mention or a reference to another issue.
_MARKUP = re.compile(r"[\\`*_\[\]<>|~&$@#]|(?<=www)\.|:(?=//)")
_LINKS_LATER = "@#"  # GitHub looks for these once the text is parsed; only something in between stops it
_IMPACTS = {
    Impact.NONE: "same",
    Impact.CREATE: "added",
    Impact.UPDATE: "changed",
    Impact.KEEP: "let go, kept",
    Impact.MAY_REPLACE: "perhaps replaced",
    Impact.SNAPSHOT: "removed, snapshot kept",
    Impact.REPLACE: "replaced",
    Impact.DESTROY: "removed",
}


def plain(text: object, longest: int = 400) -> str:
    """Text of a stranger's in one line of visible characters."""
    seen = _one_line(str(text))
    if not seen.isprintable():
        seen = "".join("�" if unicodedata.category(each) in _UNSEEN else each for each in seen)
    return seen if len(seen) <= longest else seen[: longest - 1] + "…"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def escaped(text: str) -> str:
    """Text of a stranger's that Markdown shows as it is."""
    return _MARKUP.sub(_as_entity, plain(text))


def _as_entity(found: re.Match[str]) -> str:
    character = found[0]
    return f"&#{ord(character)};" + ("<!-- -->" if character in _LINKS_LATER else "")


def spell(value: Any) -> str:
    """A property's value; what CloudFormation works out only later is named by what it refers to."""
    if value is None:
        return "-"
    return plain(_spelled(value), LONGEST)


def spell_sides(cause: Cause) -> tuple[str, str]:
    """Both values of a difference, unless they look like a secret."""
    return (HIDDEN, HIDDEN) if is_secret(cause) else (spell(cause.before), spell(cause.after))


def _spelled(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Reference):
        return str(value)
    return json.dumps(_serialisable(value), ensure_ascii=False, sort_keys=True, default=str)


def _serialisable(value: Any) -> Any:
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _serialisable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_serialisable(item) for item in value]
    return value


def impact_word(impact: Impact) -> str:
    return _IMPACTS[impact]


def usd(amount: float | None) -> str:
    """Money with as many digits as matter; what is not there is a dash."""
    return "-" if amount is None else f"{amount:,.2f}" if abs(amount) < 100 else f"{amount:,.0f}"


def percent(share: float | None) -> str:
    """An availability with enough nines to tell it from 100 %."""
    return "unknown" if share is None else f"{share * 100:.4f}".rstrip("0").rstrip(".") + " %"


def share(part: float) -> str:
    """A part of a whole; a little is not nothing."""
    return "<1%" if 0 < part < 0.005 else f"{part:.0%}"


def difference(change: float) -> str:
    """Money more or less."""
    return "no difference" if abs(change) < 0.005 else f"{change:+,.0f}" if abs(change) >= 10 else f"{change:+,.2f}"


def span(minutes: float | None) -> str:
    """How long something is down."""
    if minutes is None:
        return "unknown"
    return f"{minutes / 60:,.1f} h" if minutes >= 120 else f"{minutes:,.1f} min"


def arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"
