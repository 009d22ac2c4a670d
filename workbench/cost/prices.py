"""The price list: rows with their source and date, and how a quantity is put on a bill."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PRICES = Path(__file__).parents[1] / "facts" / "prices.json"
HOURS = 730
GLOBAL = "global"
EDGE = "edge"
_SIZES = {"1k": 1_000, "1000": 1_000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000}

Place = tuple[str, str, str]
"""The service, the item and the region of a price."""


@dataclass(frozen=True)
class Price:
    """One row of the price list."""

    service: str
    item: str
    region: str
    unit: str
    usd: float
    as_of: str
    confidence: str
    source: str
    note: str = ""
    above: float = 0  # the amount above which this tier holds

    @property
    def place(self) -> Place:
        return self.service, self.item, self.region

    @property
    def size(self) -> float:
        """How many single things a unit has: a million in `1M requests`."""
        return _SIZES.get(self.unit.partition(" ")[0], 1)

    def quantity(self, amount: float) -> float:
        """An amount in units of this price; what runs all the time runs every hour of a month."""
        return amount * HOURS if self.unit.endswith("hour") else amount / self.size


def tiers(prices: tuple[Price, ...], amount: float) -> Iterator[tuple[Price, float]]:
    """An amount split over the tiers of one item, in units of each."""
    ends = [*(price.above for price in prices[1:]), math.inf][: len(prices)]
    for price, end in zip(prices, ends, strict=True):
        if amount > price.above:
            yield price, price.quantity(min(amount, end) - price.above)


@cache
def facts() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return loaded


def listed_in(region: str, place: str) -> str:
    """Where the price of something in a region is listed; a CDN's visitors are taken to live around the region."""
    if place != EDGE:
        return place or region
    near = {"us": "US edge", "ca": "US edge", "eu": "EU edge"}.get(region.partition("-")[0], f"the edge near {region}")
    return near if region else ""


def every() -> list[Price]:
    """All rows, in the order of the file."""
    return [Price(**row) for row in facts()["rows"]]


@cache
def prices() -> Mapping[Place, tuple[Price, ...]]:
    """Every item with its tiers, the first one at the front."""
    found: dict[Place, list[Price]] = {}
    for price in every():
        found.setdefault(price.place, []).append(price)
    return {place: tuple(sorted(rows, key=lambda price: price.above)) for place, rows in found.items()}
