"""Where everything stands: the edge at the left, networks, messaging, services; operations below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.compare.scene import Node, Place, Scene
from workbench.report.picture import cards
from workbench.report.picture.grid import (
    EDGE_LANE,
    FRAME_HEAD,
    FRAME_PAD,
    LANE,
    MARGIN,
    Grid,
    Placement,
    Wire,
    is_ghost,
)
from workbench.report.picture.measure import fitted, visible
from workbench.report.picture.network import place_network
from workbench.report.picture.parts import LABEL_HEIGHT, TEXT, Card, Frame, Rect, Text

EDGE_WIDTH, SIDE_WIDTH, PAIR_WIDTH = 176, 176, 252
COLUMNS = ((Place.MESSAGING, PAIR_WIDTH), (Place.SERVICES, SIDE_WIDTH))
OPERATIONS_WIDTH, WIDEST_OPERATIONS, OPERATIONS_GAP = 158, 280, 12
REGION_PAD = 18
TIGHT, LAST_LANE = 12, 14
BESIDE = 12  # between a network and the column beside it, on top of the lane
STEP = 24  # between two things in a column
EDGE_STEP, EDGE_STEP_BADGED = 36, 50  # the same at the edge; a badge stands in the way of what comes from above
NOWHERE = 1e9


def place(scene: Scene, lanes: Mapping[str, float], like: Placement | None = None) -> Placement:
    """The whole picture but for its arrows, with lanes of these sizes; in the same order as another one of it."""
    return _Placer(scene, lanes, like).placed()


class _Placer(Grid):
    """Puts columns beside each other, and what everything uses below them."""

    def placed(self) -> Placement:
        made, edge = self.made, self.by_place[Place.EDGE]
        left = MARGIN + (EDGE_WIDTH + self.lane("|edge", EDGE_LANE) if edge else 0)
        regional = bool(self.scene.vpcs or any(self.by_place[each] for each in Place if each is not Place.EDGE))
        top = MARGIN + (FRAME_HEAD + self.lane("-top", TIGHT) if regional else 12)
        x, bottom = left + REGION_PAD, top
        for number, vpc in enumerate(self.scene.vpcs):
            x, low = place_network(self, vpc, x, top, number)
            self._upright(f"|after{number}", x, self.lane(f"|after{number}", LANE) + BESIDE)
            bottom = max(bottom, low)
            x += self.lane(f"|after{number}", LANE)
        for each, room in COLUMNS:
            if nodes := self.by_place[each]:
                x += BESIDE if x > left + REGION_PAD else 0
                bottom = max(bottom, self._column(each.value, nodes, Rect(x, top, room, bottom - top)))
                x += room
                self._upright(f"|{each.value}", x, self.lane(f"|{each.value}", LAST_LANE))
                x += self.lane(f"|{each.value}", LAST_LANE)
        if self.by_place[Place.OPERATIONS]:
            x = max(x, left + 3 * OPERATIONS_WIDTH)
        lane = self.lane("-bottom", TIGHT)
        low = self._operations(left + REGION_PAD, x - 4, bottom + lane + 6)
        if edge:
            low = max(low, self._edge(edge, top, left))
        if regional:
            said = fitted(visible(self.scene.region or "region"), 240, TEXT)
            title = Text(left + FRAME_PAD, MARGIN + 22, said, "caption", TEXT, True)
            frame = Frame("region", Rect(left, MARGIN, x + FRAME_PAD - left, low - MARGIN), (title,))
            made.frames.insert(0, frame)
            x += FRAME_PAD
        else:
            x = MARGIN + EDGE_WIDTH
        made.width, made.height = x + MARGIN, low + MARGIN
        high = MARGIN + FRAME_HEAD + self.lane("-top", TIGHT) / 2 - 4
        self._finish(left, x, high, bottom + lane / 2)
        return made

    # --- columns -----------------------------------------------------------------------------------------------------

    def _column(self, name: str, nodes: Sequence[Node], room: Rect) -> float:
        """One below the other, each as near as it goes to the height of what leads to it; gives the lower end."""
        reach = Rect(room.x - 60, room.y, room.w + 120, max(room.h, 4000))
        wanted = {node.id: self._wanted(node.id) for node in nodes}
        nodes = sorted(nodes, key=lambda node: self.order.index(node.id) if self.order else wanted[node.id])
        heights = [self._height(node, room.w) for node in nodes]
        gaps = [self.lane(f"-{name}{number}", STEP) for number in range(1, len(nodes))] + [0]
        left = sum(heights) + sum(gaps)  # what is still to be placed
        y = room.y + 10
        for number, (node, height) in enumerate(zip(nodes, heights, strict=True)):
            if number:
                lane = f"-{name}{number}"
                self.made.lanes[lane] = Wire(lane, False, y - gaps[number - 1] / 2, room.x - 60, room.right + 60)
            if wanted[node.id] < NOWHERE:
                head = 2 * cards.HEAD if node.members else height
                y = max(y, min(wanted[node.id] - head / 2, room.bottom - 10 - left))
            made, inside = self._stacked(node, room.x, y, room.w)
            self.add(made, inside)
            self.made.reach |= {card.id: reach for card in (made, *inside)}
            y = made.rect.bottom + gaps[number]
            left -= height + gaps[number]
        return y

    def _wanted(self, id: str, seen: tuple[str, ...] = ()) -> float:
        """The height of what leads to a thing: above all others from the edge, below all others from nowhere."""
        heights = []
        edge = {node.id for node in self.by_place[Place.EDGE]}
        for arrow in self.scene.arrows:
            if arrow.target != id or arrow.source in seen or len(seen) > 4:
                continue
            if arrow.source in self.made.cards:
                rect = self.made.cards[arrow.source].rect
                heights.append(rect.y + min(rect.h, 240) / 2)
            elif arrow.source in edge:
                heights.append(MARGIN)
            else:
                heights.append(self._wanted(arrow.source, (*seen, id)) + 1)
        return sum(heights) / len(heights) if heights else NOWHERE

    def _height(self, node: Node, room: float) -> float:
        return self._stacked(node, 0, 0, room)[0].rect.h

    def _stacked(self, node: Node, x: float, y: float, room: float) -> tuple[Card, list[Card]]:
        """A card, or a bar over cards that stand one below the other."""
        if not node.members:
            return cards.card(node, x, y, room if len(node.icons) > 1 else min(room, SIDE_WIDTH)), []
        inside: list[Card] = []
        low = y + cards.HEAD + 2
        for member in node.members:
            low += (12 if member.mark else 8) if inside else 0
            inside.append(cards.card(member, x + 10, low, room - 20, ghost=is_ghost(node)))
            low = inside[-1].rect.bottom
        return cards.bar(node, x, y, room, low + 10 - y), inside

    # --- the edge, and what everything uses ---------------------------------------------------------------------------

    def _edge(self, nodes: Sequence[Node], least: float, right: float) -> float:
        """The way in, its last step beside what it leads to; gives the lower end."""
        heights = [cards.card_height(node, EDGE_WIDTH) for node in nodes]
        steps = [EDGE_STEP_BADGED if node.mark else EDGE_STEP for node in nodes]
        gaps = [self.lane(f"-edge{number}", steps[number]) for number in range(1, len(nodes))]
        aim = self._aim(nodes[-1])
        y = least + 10
        if aim is not None:
            y = max(MARGIN + 10, aim - heights[-1] / 2 - sum(heights[:-1]) - sum(gaps))
        for number, node in enumerate(nodes):
            if number:
                lane, size = f"-edge{number}", gaps[number - 1]
                self.made.lanes[lane] = Wire(lane, False, y + size / 2, MARGIN, MARGIN + EDGE_WIDTH + 80)
                y += size
            self.add(cards.card(node, MARGIN, y, EDGE_WIDTH))
            self.made.reach[node.id] = Rect(MARGIN - 10, MARGIN, right + 10 - MARGIN, 4000)
            y += heights[number]
        return y + 12

    def _aim(self, last: Node) -> float | None:
        """The height of what the last step of the edge leads to, if that stands in a network."""
        leaving = [arrow.target for arrow in self.scene.arrows if arrow.source == last.id]
        for target in leaving:
            if target in self.made.strips:
                rect = self.made.cards[target].rect
                # What goes over the network instead leaves above.
                above = sum(other not in self.made.strips for other in leaving)
                return rect.y + min(rect.h, cards.HEAD) / 2 - above * (LABEL_HEIGHT + 4) / 2
        return None

    def _operations(self, left: float, right: float, y: float) -> float:
        """Rows of equal cards; gives the lower end."""
        nodes = self.by_place[Place.OPERATIONS]
        if not nodes:
            return y + 4
        most = max(1, int((right - left + OPERATIONS_GAP) // (OPERATIONS_WIDTH + OPERATIONS_GAP)))
        rows = -(-len(nodes) // most)
        columns = -(-len(nodes) // rows)  # as even as it goes
        width = min((right - left - OPERATIONS_GAP * (columns - 1)) / columns, WIDEST_OPERATIONS)
        for start in range(0, len(nodes), columns):
            row = nodes[start : start + columns]
            height = max(cards.card_height(node, width) for node in row)
            for column, node in enumerate(row):
                x = left + column * (width + OPERATIONS_GAP)
                self.add(replace(cards.card(node, x, y, width, least=height), kind="plain"))
            y += height + REGION_PAD
        return y

    # --- lanes -------------------------------------------------------------------------------------------------------

    def _upright(self, name: str, left: float, size: float) -> None:
        self.made.lanes[name] = Wire(name, True, left + size / 2, 0, 0)

    def _finish(self, left: float, right: float, high: float, low: float) -> None:
        """The lanes above and below everything, and how far those from top to bottom lead."""
        lanes = self.made.lanes
        for name, wire in list(lanes.items()):
            if wire.upright and not wire.high:
                lanes[name] = replace(wire, low=high, high=low)
        size = self.lane("|edge", EDGE_LANE)
        if self.by_place[Place.EDGE]:
            lanes["|edge"] = Wire("|edge", True, left - size / 2, MARGIN, low, size)
        lanes["-top"] = Wire("-top", False, high, left - size, right)
        lanes["-bottom"] = Wire("-bottom", False, low, left - size, right)
