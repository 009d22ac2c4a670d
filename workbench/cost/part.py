"""What a resource's rules say about its cost: a priced part, something left without a figure, or a remark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.templates.reading import Resource, System, dig


@dataclass(frozen=True)
class Part:
    """One component, what prices it, and how much of it. No amount: the template does not say how much."""

    component: str
    service: str
    item: str
    amount: float | None
    region: str = ""  # where the price is listed, if not where the stack is: GLOBAL, or EDGE for the edge near it


@dataclass(frozen=True)
class Left:
    """Something that is billed by use and that the workload says nothing about."""

    what: str


@dataclass(frozen=True)
class Remark:
    """What a reader of the estimate must know to judge it."""

    text: str


Parts = Iterator[Part]
Said = Iterator[Part | Left | Remark]
Standing = Callable[[System, Resource], Parts]


def figure(value: Any, default: float | None = None) -> float | None:
    """A number that a template says, also in quotes; None when only AWS will know it."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) and read >= 0 else None


def count(value: Any) -> float | None:
    """How many a template lists; None when only AWS will know."""
    if value is None:
        return 0
    return len(value) if isinstance(value, list | tuple) else None


def product(*factors: float | None) -> float | None:
    """None as soon as one factor is unknown."""
    known = [factor for factor in factors if factor is not None]
    return math.prod(known) if len(known) == len(factors) else None


def section(value: Any, path: str) -> Mapping[str, Any]:
    """A mapping inside a value, empty when there is none."""
    found = dig(value, path)
    return found if isinstance(found, Mapping) else {}
