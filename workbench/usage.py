"""How much a system is used: one workload in three sizes, from which bills and loads are derived.

Peak = users a day x requests each / 86,400 x peak factor. The sizes are round numbers, not forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass

DAYS = 730 / 24  # a month, as hourly prices have it
PEAK_FACTOR = 3
REQUESTS_EACH = 50  # pages and API calls of one user on one day
STATIC_EACH = 40  # files that come with them


@dataclass(frozen=True)
class Usage:
    """One size of the workload."""

    name: str
    users_a_day: int
    reads: float = 0.95  # share of the requests that change nothing
    orders_each: float = 0.05  # orders of one user on one day
    response_kib: float = 12
    static_kib: float = 20
    uploads_a_day: int = 50
    stored_gib: float = 20
    cache_hits: float = 0.85  # of what the cache is asked for

    @property
    def requests_a_month(self) -> float:
        return self.users_a_day * REQUESTS_EACH * DAYS

    @property
    def static_a_month(self) -> float:
        return self.users_a_day * STATIC_EACH * DAYS

    @property
    def orders_a_month(self) -> float:
        return self.users_a_day * self.orders_each * DAYS

    @property
    def mean_per_second(self) -> float:
        return self.users_a_day * REQUESTS_EACH / 86_400

    @property
    def peak_per_second(self) -> float:
        return self.mean_per_second * PEAK_FACTOR


USAGES = (
    Usage("low", users_a_day=1_000),
    Usage("moderate", users_a_day=50_000, uploads_a_day=500, stored_gib=200),
    Usage("high", users_a_day=1_000_000, uploads_a_day=5_000, stored_gib=2_000),
)


def named(name: str) -> Usage:
    """The usage with this name; KeyError when there is none."""
    return {usage.name: usage for usage in USAGES}[name]
