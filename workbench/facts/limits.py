"""Figures that AWS publishes about sizes and quotas: what a machine has, and what a service takes at most."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LIMITS = Path(__file__).with_name("limits.json")
_SIZE = re.compile(r"(?:db\.|cache\.)?([a-z]+\d[a-z]*)\.([a-z0-9]+)")


@dataclass(frozen=True)
class Limit:
    """One figure."""

    value: float
    source: str
    as_of: str

    @property
    def cited(self) -> str:
        return f"{self.source}, {self.as_of}"


@dataclass(frozen=True)
class Quota:
    """How many of something a new account may have in a region; AWS raises it on request."""

    name: str
    service: str
    code: str  # its name in the Service Quotas API
    value: int
    source: str
    as_of: str


@dataclass(frozen=True)
class Machine:
    """What one instance size has."""

    cpus: float
    gib: float
    baseline: float  # the share of its processors that it may use for ever; below 1 the rest is paid in credits


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(LIMITS.read_text(encoding="utf-8"))
    return facts


@cache
def limit(name: str) -> Limit:
    """The limit with this name; KeyError when there is none."""
    return {row["name"]: Limit(row["value"], row["source"], row["as_of"]) for row in _facts()["limits"]}[name]


def quotas() -> tuple[Quota, ...]:
    """The quotas that a deployment may meet."""
    return tuple(Quota(**row) for row in _facts()["quotas"])


def machine(size: str) -> Machine | None:
    """What `m7g.large` or `db.t4g.medium` has; None for a family that nobody has listed."""
    burstable = _facts()["burstable"].get(size.removeprefix("db.").removeprefix("cache."))
    if burstable is not None:
        return Machine(*burstable)
    found = _SIZE.fullmatch(size)
    family, step = found.groups() if found else ("", "")
    gib_a_cpu, cpus = _facts()["families"].get(family), _facts()["steps"].get(step)
    if step == "medium" and not family.endswith("g"):  # only Graviton has one this small
        return None
    return None if gib_a_cpu is None or cpus is None else Machine(cpus, cpus * gib_a_cpu, 1)


def cache_bytes(size: str) -> Limit | None:
    """What a cache node of this size holds of data, after the share that AWS reserves by default."""
    memory = _facts()["cache_nodes"].get(size)
    if memory is None:
        return None
    reserved = limit("reserved memory of a cache node")
    return Limit(memory * (1 - reserved.value), _facts()["cache_source"], reserved.as_of)
