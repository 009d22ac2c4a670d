"""Lines side by side in one lane, in the order in which they cross each other least."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

ROUNDS = 2  # each one may find a better place once the others have theirs


@dataclass(frozen=True)
class Run:
    """What one arrow uses of a lane."""

    number: int
    net: str
    begin: float
    end: float
    from_low: bool  # it comes from the left, or from above
    to_low: bool
    room: float

    @property
    def low(self) -> float:
        return min(self.begin, self.end)

    @property
    def high(self) -> float:
        return max(self.begin, self.end)

    def crossings(self, other: Run) -> int:
        """How often the two cross if this one runs on the low side of the other."""
        mine = ((self.begin, self.from_low), (self.end, self.to_low))
        theirs = ((other.begin, other.from_low), (other.end, other.to_low))
        # Ways out to both sides at one height would lie on each other.
        along = sum(not low and lower and abs(at - there) < 10 for at, low in mine for there, lower in theirs)
        return (
            sum(not low and other.low <= at <= other.high for at, low in mine)
            + sum(low and self.low <= at <= self.high for at, low in theirs)
            + 10 * along
        )


def tracks(used: Sequence[Run], pitch: float) -> dict[tuple[int, ...], float]:
    """Who shares a track, from the low side of a lane to the high one, and how wide each track is."""
    nets: dict[str, list[Run]] = defaultdict(list)
    for run in used:
        nets[run.net].append(run)
    order: list[list[Run]] = []
    for _ in range(ROUNDS):
        for net in nets.values():
            # Where it crosses least, among those that are there already.
            order = [other for other in order if other is not net]
            costs = [
                sum(_crossings(other, net) for other in order[:place])
                + sum(_crossings(net, other) for other in order[place:])
                for place in range(len(order) + 1)
            ]
            order.insert(costs.index(min(costs)), net)
    tracks: list[list[Run]] = []
    for net in order:
        last = tracks[-1] if tracks else []
        if last and all(run.low > other.high + 20 or other.low > run.high + 20 for run in net for other in last):
            last += net
        else:
            tracks.append(list(net))
    return {tuple(run.number for run in track): max(pitch, *(run.room for run in track)) for track in tracks}


def _crossings(low: Sequence[Run], high: Sequence[Run]) -> int:
    return sum(one.crossings(other) for one in low for other in high)
