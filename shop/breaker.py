"""Stops asking somebody who does not answer, and asks again after a while: closed, open, half-open."""

from __future__ import annotations

import time

FAILURES = 3
SECONDS_OPEN = 2.0


class Breaker:
    """Closed it lets everybody through; after some failures in a row nobody; then one, whose luck decides."""

    def __init__(self, failures: int = FAILURES, seconds: float = SECONDS_OPEN) -> None:
        self._allowed, self._seconds = failures, seconds
        self._failures = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._allowed

    def lets_through(self) -> bool:
        """Whether to ask now; while half-open the next one is let through only after this one had his time."""
        if not self.is_open:
            return True
        now = time.monotonic()
        if now < self._until:
            return False
        self._until = now + self._seconds
        return True

    def good(self) -> None:
        self._failures = 0

    def bad(self) -> None:
        self._failures += 1
        if self.is_open:
            self._until = time.monotonic() + self._seconds
