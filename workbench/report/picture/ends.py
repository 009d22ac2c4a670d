"""Where along the sides of cards arrows start and end: beside each other, straight where that is possible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from workbench.compare.scene import Arrow
from workbench.report.picture.grid import Placement, Wire
from workbench.report.picture.parts import LABEL_HEIGHT

APART = 16  # between arrows at one side of a card
SIDE_BY_SIDE = 30  # the same above and below a card, where labels stand beside each other
FACING = 9  # between arrows that leave towards each other, so that they do not look like one


@dataclass(frozen=True)
class Port:
    """One way out of a card, and how far it leads before something is in the way."""

    card: str
    side: str  # left, right, up, down
    strip: int
    wire: Wire
    border: float
    span: tuple[float, float]  # where along the side arrows may stand

    @property
    def place(self) -> tuple[str, str, int]:
        return self.card, self.side, self.strip


@dataclass(eq=False)
class Route:
    """The way of one arrow: out of a card, along lanes, into another card."""

    arrow: Arrow
    start: Port
    lanes: list[str]
    end: Port
    net: str = ""  # what it shares its way with: arrows that leave one card, or arrive at one, without being told apart
    leave: float = 0  # where along their sides it starts and ends
    arrive: float = 0


@dataclass(eq=False)
class Stand:
    """One place at a side of a card, where one arrow ends or several that share their way."""

    port: Port
    ends: list[tuple[Route, bool]] = field(default_factory=list)  # True: the arrow leaves here
    at: float = 0

    @property
    def next_lanes(self) -> Iterator[list[str]]:
        """The lanes of each arrow, from here on."""
        return (route.lanes if leaving else route.lanes[::-1] for route, leaving in self.ends)

    def move(self, at: float) -> None:
        self.at = at
        for route, leaving in self.ends:
            if leaving:
                route.leave = at
            else:
                route.arrive = at


def bundle(routes: Sequence[Route]) -> None:
    """Arrows without labels that leave one card at one side share their way, and so do those that arrive at one."""
    for leaving in (True, False):
        groups: dict[tuple[object, ...], list[Route]] = defaultdict(list)
        for route in routes:
            if not route.net and not route.arrow.label:
                groups[_port(route, leaving).place, route.arrow.mark].append(route)
        for group in groups.values():
            if len(group) > 1:
                for route in group:
                    name = _port(route, leaving).wire.name
                    route.net = f"{'from' if leaving else 'to'} {name} {route.arrow.mark}"


def spread(routes: Sequence[Route], placed: Placement) -> None:
    """Gives every arrow its place at both of its ends."""
    sides = _sides(routes)
    for stands in sides.values():
        _beside(stands, placed)
    for stands in sides.values():
        for stand in stands:
            _straighten(stand, stands)
    facing: dict[str, list[Stand]] = defaultdict(list)
    for stands in sides.values():
        for stand in stands:
            for lane in {lanes[0] for lanes in stand.next_lanes if lanes}:
                facing[lane].append(stand)
    for stands in facing.values():
        _keep_apart(stands, sides)
    for route in routes:
        if not route.lanes and route.start.wire.upright == route.end.wire.upright:
            route.arrive = route.leave


def _port(route: Route, leaving: bool) -> Port:
    return route.start if leaving else route.end


def _sides(routes: Sequence[Route]) -> dict[tuple[str, str, int], list[Stand]]:
    """Side of a card -> the places at it."""
    found: dict[tuple[str, str, int], dict[object, Stand]] = defaultdict(dict)
    for route in routes:
        for leaving in (True, False):
            port = _port(route, leaving)
            shared = route.net.startswith("from" if leaving else "to ")
            stand = found[port.place].setdefault(route.net if shared else (route, leaving), Stand(port))
            stand.ends.append((route, leaving))
    return {place: list(stands.values()) for place, stands in found.items()}


def _beside(stands: list[Stand], placed: Placement) -> None:
    """Spread around the middle of a side, in the order of where they go."""
    port = stands[0].port
    low, high = port.span
    stands.sort(key=lambda stand: min(_heading(route, leaving, placed) for route, leaving in stand.ends))
    labelled = sum(bool(route.arrow.label) for stand in stands for route, _ in stand.ends) > 1
    apart = (SIDE_BY_SIDE if port.wire.upright else LABEL_HEIGHT + 4) if labelled else APART
    step = min(apart, (high - low) / max(1, len(stands) - 1))
    whole = step * (len(stands) - 1)
    first = min(max(port.wire.at - whole / 2, low), high - whole)
    for number, stand in enumerate(stands):
        at = first + step * number
        # At the height of the lane that comes next, where that is but a small step away.
        lanes = [placed.lanes[lanes[1]].at for lanes in stand.next_lanes if len(lanes) > 1]
        near = [lane for lane in lanes if abs(lane - at) < min(step / 2, 8) and low <= lane <= high]
        stand.move(near[0] if near else at)


def _heading(route: Route, leaving: bool, placed: Placement) -> tuple[float, float, str, str]:
    """Where along a side an arrow wants to stand: towards the next turn, and beyond it."""
    port, other = _port(route, leaving), _port(route, not leaving)
    lanes = route.lanes if leaving else route.lanes[::-1]
    x, y = placed.cards[other.card].rect.middle
    beyond = x if port.wire.upright else y
    if len(lanes) >= 2:
        turn = placed.lanes[lanes[1]].at
    else:
        turn = other.wire.at if port.wire.upright == other.wire.upright else other.border
    return turn, beyond, route.arrow.source, route.arrow.target


def _straighten(stand: Stand, beside: Sequence[Stand]) -> None:
    """Moves to where its only arrow needs no turn."""
    route, leaving = stand.ends[0]
    if len(stand.ends) > 1 or len(route.lanes) > 1 or route.start.wire.upright != route.end.wire.upright:
        return
    at = route.arrive if leaving else route.leave
    if _free(stand, at, beside):
        stand.move(at)


def _free(stand: Stand, at: float, beside: Sequence[Stand]) -> bool:
    low, high = stand.port.span
    return low <= at <= high and all(abs(other.at - at) >= APART - 2 for other in beside if other is not stand)


def _keep_apart(stands: Sequence[Stand], sides: dict[tuple[str, str, int], list[Stand]]) -> None:
    """No two arrows that leave towards each other at nearly one height."""
    for stand in stands:
        for other in stands:
            straight = {route for route, _ in stand.ends} & {route for route, _ in other.ends}
            opposite = {stand.port.side, other.port.side} == {"left", "right"}
            if straight or not opposite or abs(stand.at - other.at) >= FACING:
                continue
            for at in (stand.at + FACING, stand.at - FACING):
                if _free(other, at, sides[other.port.place]):
                    other.move(at)
                    break


__all__ = ["Port", "Route", "bundle", "spread"]
