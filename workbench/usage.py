"""How much a system is used: one workload in three sizes, from which bills and loads are derived.

Peak = users a day x requests each / 86,400 x peak factor. All figures are round assumptions, stated here and nowhere
else; they are not forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DAYS = 730 / 24  # a month, as hourly prices have it
SECONDS = 730 * 3600
KIB_IN_GIB = 2**20

PEAK_FACTOR = 3
PEAK_HOURS = 4  # of a day; the rest is quieter, so that the mean comes out
REQUESTS_EACH = 50  # pages and API calls of one user on one day
STATIC_EACH = 40  # files that come with them
VIEWS_EACH = 5  # product pages that reach the application, of one user on one day

EDGE_HITS = 0.95  # of static files, answered by a CDN itself
STORE_KIB = 10  # what one request reads from database and cache
ORDER_KIB = 10  # what one order takes in the database
MONTHS_KEPT = 12  # of orders
LOG_KIB = 1.5  # what a host logs of one request, and a function of one event
ACCESS_LOG_KIB = 0.1  # what is left of one line of an access log, packed
DAILY_CHANGE = 0.01  # of stored data, which each further backup holds


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
    stored_gib: float = 20  # files of users
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
    def uploads_a_month(self) -> float:
        return self.uploads_a_day * DAYS

    @property
    def mean_per_second(self) -> float:
        return self.users_a_day * REQUESTS_EACH / 86_400

    @property
    def peak_per_second(self) -> float:
        return self.mean_per_second * PEAK_FACTOR

    @property
    def database_gib(self) -> float:
        """What the database holds once it has run for as long as orders are kept."""
        return 1 + self.orders_a_month * MONTHS_KEPT * ORDER_KIB / KIB_IN_GIB

    @property
    def events(self) -> Mapping[str, float]:
        """What the application tells its workers in a month, by the type of the event."""
        return {
            "order.placed": self.orders_a_month,
            "order.shipped": self.orders_a_month,
            "image.uploaded": self.uploads_a_month,
            "product.changed": self.uploads_a_month,
            "product.viewed": self.users_a_day * VIEWS_EACH * DAYS,
        }


QUIET_FACTOR = (24 - PEAK_HOURS * PEAK_FACTOR) / (24 - PEAK_HOURS)  # load outside the peak, relative to the mean

USAGES = (
    Usage("low", users_a_day=1_000),
    Usage("moderate", users_a_day=50_000, uploads_a_day=500, stored_gib=200),
    Usage("high", users_a_day=1_000_000, uploads_a_day=5_000, stored_gib=2_000),
)


def named(name: str) -> Usage:
    """The usage with this name; KeyError when there is none."""
    return {usage.name: usage for usage in USAGES}[name]
