"""What AWS commits to, service by service: below it money comes back. Not what anybody measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

COMMITMENTS = Path(__file__).with_name("commitments.json")


@dataclass(frozen=True)
class Commitment:
    """One service in one shape."""

    name: str
    availability: float  # between 0 and 1
    service: str  # as AWS calls it, with the shape that the figure holds for
    source: str
    as_of: str
    note: str = ""

    @property
    def cited(self) -> str:
        """The commitment as a reader can look it up."""
        note = f"; {self.note}" if self.note else ""
        return f"{self.service}: refund below {self.availability * 100:.7g} % ({self.source}, {self.as_of}{note})"


@cache
def commitments() -> dict[str, Commitment]:
    rows = json.loads(COMMITMENTS.read_text(encoding="utf-8"))["rows"]
    return {row["name"]: Commitment(**row) for row in rows}
