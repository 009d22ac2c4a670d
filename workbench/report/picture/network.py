"""One private network on the grid: zones are its columns, tiers its rows, and bars lie over several zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.compare.scene import TIERS, Node, Place, Subnet, Vpc
from workbench.report.picture import cards
from workbench.report.picture.grid import (
    EDGE_LANE,
    FRAME_HEAD,
    FRAME_PAD,
    LANE,
    Grid,
    Wire,
    is_ghost,
)
from workbench.report.picture.measure import fitted, visible
from workbench.report.picture.parts import TEXT, TITLE, Badge, Card, Frame, Rect, Text

ZONE_WIDTH, WIDEST_ZONE = 178, 340  # of a column of cards
ZONE_GAP = 10
CELL_PAD = 8  # around the cards of a subnet
CAPTION = 24  # what a zone or a subnet is called
INNER_LANE, ROW_LANE, TIER_LANE = 20, 16, 28
TREE = 24  # below copies, for the way from the first one to the others


@dataclass(frozen=True)
class Columns:
    """Where the zones of one network are."""

    lefts: tuple[float, ...]
    width: float  # of cards

    @property
    def cell(self) -> float:
        return self.width + 2 * CELL_PAD

    @property
    def right(self) -> float:
        return self.lefts[-1] + self.cell


def place_network(grid: Grid, vpc: Vpc, left: float, top: float, number: int) -> tuple[float, float]:
    """Places one network with all that stands in it; gives its right and its lower end."""
    own = [node for node in grid.scene.nodes if node.place in TIERS and node.vpc == vpc.id]
    width = _zone_width(own)
    first = left + grid.lane(f"|in{number}", INNER_LANE)
    step = width + 2 * CELL_PAD + ZONE_GAP
    columns = Columns(tuple(first + step * place for place in range(len(vpc.zones))), width)
    right = columns.right + grid.lane(f"|out{number}", INNER_LANE)
    named = any(vpc.zones)
    inner = top + FRAME_HEAD + (CAPTION if named else 0)
    frames, bottom = _tiers(grid, vpc, own, columns, inner, number)
    zones = [_zone(name, x, inner - CAPTION, columns) for name, x in zip(vpc.zones, columns.lefts, strict=True)]
    grid.made.frames += [_frame(vpc, Rect(left, top, right - left, bottom - top)), *(zones if named else []), *frames]
    # Arrows go up and down beside what subnets are called.
    caption = max((text.rect.w for frame in frames for text in frame.texts), default=0)
    strips = [(x + CELL_PAD + caption + 14, x + columns.cell - CELL_PAD - 12) for x in columns.lefts]
    for node in own:
        for each in (node, *node.members):
            grid.made.strips[each.id] = [strips[zone] for zone in node.zones]
            grid.made.reach[each.id] = Rect(left - 200, inner, right - left + 400, bottom - inner)
    _lanes(grid, number, Rect(left, inner, right - left, bottom - inner), columns)
    return right, bottom


def _zone_width(own: Sequence[Node]) -> float:
    """Wide enough for what is written in the bars that lie over the zones."""
    needs = [float(ZONE_WIDTH)]
    for node in own:
        if _is_bar(node):
            between = (len(node.zones) - 1) * (ZONE_GAP + 2 * CELL_PAD)
            needs.append((cards.bar_width(node) - between) / len(node.zones))
    return min(max(needs), WIDEST_ZONE)


def _tiers(
    grid: Grid, vpc: Vpc, own: Sequence[Node], columns: Columns, y: float, number: int
) -> tuple[list[Frame], float]:
    """The rows of all tiers, with the subnets that they stand in."""
    cells = {(subnet.tier, subnet.zone): subnet for subnet in vpc.subnets}
    frames: list[Frame] = []
    bottom = y + CAPTION
    for tier in TIERS:
        rows = _rows([node for node in own if node.place is tier])
        if not rows and not any(place is tier for place, _ in cells):
            continue
        top = y
        y += CAPTION + 6
        for place, row in enumerate(rows):
            if place:
                y = _lane(grid, f"-{number}{tier}{place}", y, ROW_LANE, columns)
            y = _row(grid, row, columns, y)
        y += CELL_PAD if rows else 0
        for zone, x in enumerate(columns.lefts):
            frame = _cell(cells.get((tier, zone)), tier, Rect(x, top, columns.cell, y - top))
            grid.made.solid += [text.rect for text in frame.texts]
            frames.append(frame)
        bottom = y + FRAME_PAD
        y = _lane(grid, f"-{number}{tier}", y, TIER_LANE, columns)
        if f"-{number}{tier}" in grid.sizes:
            bottom = y - 6
    return frames, bottom


def _row(grid: Grid, row: Sequence[Node], columns: Columns, y: float) -> float:
    """One row of cards, or of one bar; gives its lower end."""
    low = y
    for node in row:
        left = columns.lefts[node.zones[0]] + CELL_PAD
        if _is_bar(node):
            right = columns.lefts[node.zones[-1]] + CELL_PAD + columns.width
            inside, bottom = _members(node, columns, y + cards.HEAD)
            made = cards.bar(node, left - 2, y, right - left + 4, bottom - y)
            grid.add(made, inside)
        else:
            made = cards.card(node, left, y, columns.width)
            grid.add(made)
        low = max(low, made.rect.bottom)
    return low


def _members(node: Node, columns: Columns, y: float) -> tuple[list[Card], float]:
    """What a bar holds, each in its zone, and where the bar ends."""
    inside: list[Card] = []
    rows = _rows(node.members)
    for number, row in enumerate(rows):
        marked = any(member.mark for member in row)
        y += TREE + 6 if number else 12 if marked else 6
        low = y
        for member in row:
            x = columns.lefts[member.zones[0]] + CELL_PAD + 6
            inside.append(cards.card(member, x, y, columns.width - 12, ghost=is_ghost(node)))
            low = max(low, inside[-1].rect.bottom)
        y = low
    if not rows:
        return inside, y
    tree = len(rows) == 1 and len(node.members) > 2 and node.members[0].keys
    return inside, y + (TREE if tree else 10)


def _cell(subnet: Subnet | None, tier: Place, rect: Rect) -> Frame:
    said = tier.value.capitalize() + (f" {visible(subnet.title)}" if subnet else "")
    text = Text(rect.x + CELL_PAD, rect.y + 17, fitted(said, rect.w - 2 * CELL_PAD - 50, TEXT), "caption")
    mark = subnet.mark if subnet else None
    badge = Badge.at(mark, text.rect.right + 8, rect.y + 4) if mark else None
    return Frame(tier.value, rect, (text,), subnet.keys if subnet else (), mark, badge)


def _zone(name: str, x: float, y: float, columns: Columns) -> Frame:
    said = fitted(visible(name), columns.width, TEXT)
    texts = (Text(x + CELL_PAD, y + 12, said, "caption"),) if said else ()
    return Frame("zone", Rect(x, y, columns.cell, 16), texts)


def _frame(vpc: Vpc, rect: Rect) -> Frame:
    room = rect.w - 2 * FRAME_PAD
    name = fitted(visible(vpc.title), room, TITLE, bold=True)
    texts = [Text(rect.x + FRAME_PAD, rect.y + 22, name, "network", TITLE, True)]
    left = texts[0].rect.right + FRAME_PAD
    said = " · ".join(visible(str(fact)) for fact in vpc.facts)
    if said and rect.right - FRAME_PAD - left > 60:
        texts.append(Text(left, rect.y + 22, fitted(said, rect.right - FRAME_PAD - left, TEXT), "caption"))
    badge = Badge.at(vpc.mark, rect.x - 6, rect.y - 9) if vpc.mark else None
    return Frame("vpc", rect, tuple(texts), vpc.keys, vpc.mark, badge)


def _lane(grid: Grid, name: str, y: float, least: float, columns: Columns) -> float:
    """A lane between two rows; gives where the next row begins."""
    size = grid.lane(name, least)
    grid.made.lanes[name] = Wire(name, False, y + size / 2, columns.lefts[0], columns.right)
    return y + size


def _lanes(grid: Grid, number: int, rect: Rect, columns: Columns) -> None:
    """The lanes on both sides of the zones; those between rows lead to what lies beside the network."""
    lanes = grid.made.lanes
    inner, outer = f"|in{number}", f"|out{number}"
    lanes[inner] = Wire(inner, True, (rect.x + columns.lefts[0]) / 2, rect.y, rect.bottom)
    lanes[outer] = Wire(outer, True, (columns.right + rect.right) / 2, rect.y, rect.bottom)
    before = grid.lane(f"|after{number - 1}", LANE) if number else grid.lane("|edge", EDGE_LANE)
    after = grid.lane(f"|after{number}", LANE) + 12
    for name, wire in list(lanes.items()):
        if name.startswith(f"-{number}"):
            lanes[name] = Wire(name, False, wire.at, rect.x - before, rect.right + after)


def _is_bar(node: Node) -> bool:
    return bool(node.members) or len(node.zones) > 1


def _rows(nodes: Sequence[Node]) -> list[list[Node]]:
    """Things side by side as long as each has its own zones; a bar has a row for itself."""
    rows: list[list[Node]] = []
    for node in nodes:
        for row in rows:
            alone = _is_bar(node) or any(_is_bar(other) or set(other.zones) & set(node.zones) for other in row)
            if not alone:
                row.append(node)
                break
        else:
            rows.append([node])
    return rows
