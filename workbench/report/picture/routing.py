"""Arrows along the lanes: first which lanes, with as few turns as possible, then where exactly in each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from workbench.compare.scene import Arrow, Scene
from workbench.report.picture.cards import HEAD
from workbench.report.picture.ends import Port, Route, bundle, spread
from workbench.report.picture.grid import Placement, Wire
from workbench.report.picture.measure import width
from workbench.report.picture.parts import TEXT, Line, Rect
from workbench.report.picture.tracks import Run, tracks

CLEAR = 12  # between a line and what it must not touch
TURN = 60  # what a turn costs, in pixels of way
FAR = 200  # what it costs to go round behind everything, or through a network that an arrow has no business in
PITCH = 12  # between lines side by side in a lane
SMALL = 7  # a step too small to be seen as one
ROW_PITCH = 18  # the same where labels stand on them
Point = tuple[float, float]


class Router:
    """All arrows of one picture."""

    def __init__(self, scene: Scene, placed: Placement) -> None:
        self.placed = placed
        self.arrows = [arrow for arrow in scene.arrows if not arrow.copies]
        self.parents = {member.id: node.id for node in scene.nodes for member in node.members}
        self._ports: dict[str, list[Port]] = {}

    # --- which way ---------------------------------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """The shortest way of each arrow that has one."""
        lanes = self.placed.lanes
        crossing = {name: [other for other in lanes.values() if _cross(wire, other)] for name, wire in lanes.items()}
        found = []
        for arrow in self.arrows:
            if arrow.source in self.placed.cards and arrow.target in self.placed.cards:
                way = self._way(arrow, crossing)
                if way is not None:
                    found.append(way)
        bundle(found)
        return found

    def _way(self, arrow: Arrow, crossing: Mapping[str, Sequence[Wire]]) -> Route | None:
        starts, ends = self.ports(arrow.source), self.ports(arrow.target)
        waiting: list[tuple[float, int, str, float, tuple[str, ...], Port]] = []
        best: tuple[float, Port, tuple[str, ...], Port] | None = None
        count = 0

        def reach(cost: float, wire: Wire, at: float, way: tuple[str, ...], start: Port) -> None:
            nonlocal best, count
            for end in ends:
                if end.wire.upright != wire.upright:
                    if _cross(wire, end.wire) and _outwards(end, wire.at):
                        further = abs(end.wire.at - at) + TURN + abs(wire.at - end.border)
                    else:
                        continue
                elif not way and wire.upright and abs(end.wire.at - wire.at) < 1 and _overlap(wire, end.wire):
                    further = abs(end.border - at)  # straight down or up
                else:
                    continue
                if best is None or cost + further < best[0]:
                    best = cost + further, start, way, end

        for start in starts:
            reach(0, start.wire, start.border, (), start)
            for lane in self.placed.lanes.values():
                if _cross(start.wire, lane) and _outwards(start, lane.at):
                    count += 1
                    cost = abs(lane.at - start.border) + TURN + self._detour(lane.name, arrow)
                    heappush(waiting, (cost, count, lane.name, start.wire.at, (lane.name,), start))
        done: set[str] = set()
        while waiting:
            cost, _, name, at, way, start = heappop(waiting)
            if best is not None and cost >= best[0]:
                break
            if name in done:
                continue
            done.add(name)
            wire = self.placed.lanes[name]
            reach(cost, wire, at, way, start)
            for other in crossing[name]:
                if other.name not in done:
                    count += 1
                    further = cost + abs(other.at - at) + TURN + self._detour(other.name, arrow)
                    heappush(waiting, (further, count, other.name, wire.at, (*way, other.name), start))
        return None if best is None else Route(arrow, best[1], list(best[2]), best[3])

    def _detour(self, lane: str, arrow: Arrow) -> float:
        through = lane[:2].startswith("-") and lane[1:2].isdigit()
        passing = through and not {arrow.source, arrow.target} & self.placed.strips.keys()
        return FAR if passing or lane == "|services" else 0

    def ports(self, id: str) -> list[Port]:
        """The ways out of a card, to all four sides where nothing is right beside it."""
        if id not in self._ports:
            rect = self.placed.cards[id].rect
            x, y = rect.middle
            inner = id in self.parents
            tall = (rect.y + 9, rect.bottom - 9)
            if self.placed.cards[id].kind == "group" and id not in self.placed.strips:
                # Beside its head: the rest of its sides belongs to what is inside.
                tall = (rect.y + 9, rect.y + HEAD - 4)
                y = sum(tall) / 2
            found = [self._port(id, rect, side, 0, y, tall) for side in ("right", "left")]
            if not inner:
                strips = self.placed.strips.get(id) or [(max(x - 40, rect.x + 10), min(x + 40, rect.right - 10))]
                for number, strip in enumerate(strips):
                    middle = (strip[0] + strip[1]) / 2 if id in self.placed.strips else x
                    found += [self._port(id, rect, side, number, middle, strip) for side in ("up", "down")]
            self._ports[id] = found
        return self._ports[id]

    def _port(self, id: str, rect: Rect, side: str, strip: int, at: float, span: tuple[float, float]) -> Port:
        upright = side in ("up", "down")
        first, last = (rect.y, rect.bottom) if upright else (rect.x, rect.right)
        reach = self.placed.reach.get(id, Rect(0, 0, self.placed.width, self.placed.height))
        low, high = (reach.y, reach.bottom) if upright else (reach.x, reach.right)
        own = {self.placed.cards[each].rect for each in (id, self.parents.get(id, id))}
        for solid in self.placed.solid:
            if solid in own:
                continue
            across = (solid.x, solid.right) if upright else (solid.y, solid.bottom)
            if across[0] - CLEAR < at < across[1] + CLEAR:
                begin, end = (solid.y, solid.bottom) if upright else (solid.x, solid.right)
                if begin >= last - 1:
                    high = min(high, begin)
                elif end <= first + 1:
                    low = max(low, end)
        ahead = side in ("down", "right")
        border = last if ahead else first
        wire = Wire(f"{id}>{side}{strip}", upright, at, border if ahead else low, high if ahead else border)
        return Port(id, side, strip, wire, border, span)

    # --- where exactly -----------------------------------------------------------------------------------------------

    def sizes(self, routes: Sequence[Route]) -> dict[str, float]:
        """How wide each lane has to be for what runs along it."""
        routes = self._here(routes)
        edge = [
            width(route.arrow.label, TEXT) + 22 for route in routes if "|edge" in route.lanes[:1] or not route.lanes
        ]
        found = {}
        for name, used in self._used(routes).items():
            shared = tracks(used, self._pads(name))
            wire = self.placed.lanes[name]
            if wire.upright:
                found[name] = sum(shared.values()) + PITCH
            else:
                found[name] = ROW_PITCH * len(shared) + 12
        found["|edge"] = found.get("|edge", 0) + max(edge, default=0)
        return found

    def lines(self, routes: Sequence[Route]) -> list[Line]:
        """Every arrow as points from border to border."""
        again = self._here(routes)
        offsets: dict[tuple[str, int], float] = {}
        for name, used in self._used(again).items():
            shared = tracks(used, self._pads(name))
            total = sum(shared.values())
            lane = self.placed.lanes[name]
            # Beside the edge everything keeps to the far side: labels stand on the near one.
            at = lane.at + lane.size / 2 - total - 6 if lane.size else lane.at - total / 2
            for group, size in shared.items():
                for number in group:
                    offsets[name, number] = at + size / 2
                at += size
        return [self._line(number, route, offsets) for number, route in enumerate(again)]

    def _here(self, routes: Sequence[Route]) -> list[Route]:
        """The same ways between the cards as they stand here."""
        here = [replace(route, start=self._again(route.start), end=self._again(route.end)) for route in routes]
        spread(here, self.placed)
        return here

    def _again(self, port: Port) -> Port:
        return next(one for one in self.ports(port.card) if (one.side, one.strip) == (port.side, port.strip))

    def _used(self, routes: Sequence[Route]) -> dict[str, list[Run]]:
        """Lane -> what runs along it, from where to where, and to which sides it leaves."""
        found: dict[str, list[Run]] = defaultdict(list)
        for number, route in enumerate(routes):
            at = [route.leave, *(self.placed.lanes[name].at for name in route.lanes), route.arrive]
            ends = [route.start.border, *at[1:-1], route.end.border]
            for place, name in enumerate(route.lanes, 1):
                before, after = at[place - 1], at[place + 1]
                if abs(before - after) < 0.5:
                    continue
                # On which side of the lane each end lies.
                back = ends[place - 1] if place == 1 else at[place - 2]
                ahead = ends[place + 1] if place == len(route.lanes) else at[place + 2]
                middle = at[place]
                room = self._needs(route, at) if self.placed.lanes[name].upright else 0
                found[name].append(
                    Run(number, route.net or str(number), before, after, back < middle, ahead < middle, room)
                )
        return found

    def _needs(self, route: Route, at: Sequence[float]) -> float:
        """The room of a label that can stand nowhere but on an upright lane."""
        label = width(route.arrow.label, TEXT) + 12 if route.arrow.label else 0
        level = route.start.wire.upright
        # The parts of a way are upright and level by turns.
        for place in range(len(at)):
            if not level:
                begin = route.start.border if place == 0 else at[place - 1]
                end = route.end.border if place == len(at) - 1 else at[place + 1]
                if abs(begin - end) > label + 30:
                    return 0
            level = not level
        return label

    def _pads(self, name: str) -> float:
        return PITCH if self.placed.lanes[name].upright else ROW_PITCH

    def _line(self, number: int, route: Route, offsets: Mapping[tuple[str, int], float]) -> Line:
        at = [
            route.leave,
            *(offsets.get((name, number), self.placed.lanes[name].at) for name in route.lanes),
            route.arrive,
        ]
        upright = [
            route.start.wire.upright,
            *(self.placed.lanes[name].upright for name in route.lanes),
            route.end.wire.upright,
        ]
        points = [_point(upright[0], at[0], route.start.border)]
        for place in range(len(at) - 1):
            points.append(_point(upright[place], at[place], at[place + 1]))
        points.append(_point(upright[-1], at[-1], route.end.border))
        arrow = route.arrow
        points = _simple(points)
        if not route.net.startswith("to"):
            points = _without_jog(points, route.end.span)
        if not route.net.startswith("from"):
            points = _without_jog(points[::-1], route.start.span)[::-1]
        return Line(arrow.source, arrow.target, tuple(points), arrow.mark, said=arrow.label)


def _point(upright: bool, at: float, along: float) -> Point:
    return (at, along) if upright else (along, at)


def _simple(points: Sequence[Point]) -> list[Point]:
    """Without points that are no turns."""
    kept: list[Point] = []
    for point in points:
        if kept and abs(kept[-1][0] - point[0]) < 0.5 and abs(kept[-1][1] - point[1]) < 0.5:
            continue
        if len(kept) > 1 and any(kept[-2][axis] == kept[-1][axis] == point[axis] for axis in (0, 1)):
            kept.pop()
        kept.append(point)
    return kept


def _without_jog(points: list[Point], span: tuple[float, float]) -> list[Point]:
    """The last part in line with the one before the last turn, where these are all but one."""
    if len(points) > 3:
        before, turn, end = points[-3:]
        axis = 1 if turn[1] == end[1] else 0
        at = before[axis]
        if abs(turn[axis] - at) < SMALL and span[0] <= at <= span[1]:
            moved = (end[0], at) if axis else (at, end[1])
            return _simple([*points[:-2], moved])
    return points


def _cross(one: Wire, other: Wire) -> bool:
    return (
        one.upright != other.upright
        and one.low - 0.5 <= other.at <= one.high + 0.5
        and other.low - 0.5 <= one.at <= other.high + 0.5
    )


def _overlap(one: Wire, other: Wire) -> bool:
    return one.low <= other.high + 1 and other.low <= one.high + 1


def _outwards(port: Port, at: float) -> bool:
    """Whether a place lies before a side of a card rather than behind it."""
    return at > port.border + 4 if port.side in ("right", "down") else at < port.border - 4
