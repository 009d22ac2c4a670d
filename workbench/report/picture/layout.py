"""A scene as a finished picture: everything placed, arrows routed, labels where nothing else is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from workbench.compare.scene import Scene
from workbench.report.picture.ends import Route
from workbench.report.picture.grid import MARGIN, Placement
from workbench.report.picture.measure import width
from workbench.report.picture.parts import LABEL_HEIGHT, TEXT, Card, Frame, Label, Line, Picture, Rect, Text
from workbench.report.picture.placing import place
from workbench.report.picture.routing import Router

LABEL_PAD = 4
NOTHING = "Nothing in these templates can be drawn."


def layout(scene: Scene) -> Picture:
    """Where everything in the picture is."""
    if scene.empty:
        note = Text(MARGIN, MARGIN + 20, NOTHING, "caption")
        return Picture(note.rect.right + MARGIN, 2 * MARGIN + 30, notes=(note,))
    # Once to see which lanes are used, and again with as much room in them as that takes.
    draft = place(scene, {})
    routes = Router(scene, draft).routes()
    placed, lines, labels = _drawn(scene, place(scene, Router(scene, draft).sizes(routes), draft), routes)
    if len(labels) < sum(bool(line.said) for line in lines):
        # Where things stand now, a lane may hold more lines beside each other than it did in the draft.
        placed, lines, labels = _drawn(scene, place(scene, Router(scene, placed).sizes(routes), draft), routes)
    notes: tuple[Text, ...] = ()
    if said := left_out(scene):
        placed.height += 16
        notes = (Text(MARGIN, placed.height - 14, said, "caption"),)
    return Picture(
        placed.width, placed.height, tuple(placed.frames), tuple(placed.cards.values()), tuple(lines), labels, notes
    )


def _drawn(scene: Scene, placed: Placement, routes: Sequence[Route]) -> tuple[Placement, list[Line], tuple[Label, ...]]:
    lines = [*Router(scene, placed).lines(routes), *_copies(scene, placed)]
    return placed, lines, tuple(_labels(lines, placed))


def left_out(scene: Scene) -> str:
    """What found no room, counted."""
    more = ((scene.more, "more"), (scene.more_arrows, "more arrows"))
    return ", ".join(f"+ {count} {what}" for count, what in more if count)


def _copies(scene: Scene, placed: Placement) -> Iterator[Line]:
    """Replication inside a database: straight to a neighbour, otherwise by a trunk below the first row."""
    for arrow in scene.arrows:
        if not arrow.copies or arrow.source not in placed.cards or arrow.target not in placed.cards:
            continue
        source, target = placed.cards[arrow.source].rect, placed.cards[arrow.target].rect
        between = [
            card.rect
            for card in placed.cards.values()
            if card.kind == "card" and card.id not in (arrow.source, arrow.target)
        ]
        y = source.y + 25
        if source.y == target.y and source.right < target.x:
            beside = Rect(source.right, y - 2, target.x - source.right, 4)
            if not any(beside.touches(other) for other in between):
                points = ((source.right, y), (target.x, y))
                yield Line(arrow.source, arrow.target, points, arrow.mark, True)
                continue
        trunk = source.bottom + 12
        start = source.x + source.w * 0.5
        end = target.x + target.w * 0.5
        into = target.bottom if target.y <= source.y else target.y
        if into == target.y and into - trunk > 60:
            continue  # behind other rows: the card says what it is
        corners = ((start, trunk), (end, trunk)) if abs(start - end) >= 1 else ()
        points = ((start, source.bottom), *corners, (end, into))
        yield Line(arrow.source, arrow.target, points, arrow.mark, True)


def _labels(lines: Sequence[Line], placed: Placement) -> Iterator[Label]:
    """Each label on its own line, where it touches nothing else; one that finds no such place is left out."""
    taken = list(_things(placed.cards.values(), placed.frames))
    borders = [edge for frame in placed.frames if frame.kind != "zone" for edge in _edges(frame.rect)]
    borders += [edge for card in placed.cards.values() for edge in _edges(card.rect)]
    for number, line in enumerate(lines):
        if not line.said:
            continue
        size = width(line.said, TEXT) + 2 * LABEL_PAD
        others = [each for place, other in enumerate(lines) if place != number for each in other.segments()]
        for x, y in _middles(line, size):
            rect = Rect(x - size / 2, y - LABEL_HEIGHT / 2, size, LABEL_HEIGHT)
            near = (other for group in (taken, others, borders) for other in group)
            if not any(rect.touches(other, 2) for other in near):
                taken.append(rect)
                text = Text(rect.x + LABEL_PAD, y + 4.3, line.said, "label")
                ground = [frame.kind for frame in placed.frames if frame.kind != "zone" and frame.rect.holds(rect)]
                yield Label(number, text, rect, line.mark, ground[-1] if ground else "")
                break


def _middles(line: Line, size: float) -> Iterator[tuple[float, float]]:
    """Places for a label, the best first: the middle of the longest part, then further along each."""
    parts = []
    for (x1, y1), (x2, y2) in zip(line.points, line.points[1:], strict=False):
        level = y1 == y2
        room = abs(x1 - x2) - size - 14 if level else abs(y1 - y2) - LABEL_HEIGHT - 12
        if room >= 0:
            parts.append((room + (60 if level else 0), room, (x1, y1), (x2, y2)))
    parts.sort(key=lambda part: -part[0])
    for share in (0.5, 0.35, 0.65, 0.2, 0.8, 0.1, 0.9):
        for _, _, (x1, y1), (x2, y2) in parts:
            x, y = x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
            margin = size / 2 + 7 if y1 == y2 else LABEL_HEIGHT / 2 + 6
            if min(abs(x - x1) + abs(y - y1), abs(x - x2) + abs(y - y2)) >= margin:
                yield x, y


def _things(cards: Iterable[Card], frames: Iterable[Frame]) -> Iterator[Rect]:
    """What labels must not touch: texts, icons and badges, and whole cards that hold nothing else."""
    for card in cards:
        if card.kind == "group":
            yield from (text.rect for text in card.texts)
            yield from (icon.rect for icon in card.icons)
        else:
            yield card.rect
        if card.badge:
            yield card.badge.rect
    for frame in frames:
        yield from (text.rect for text in frame.texts)
        if frame.badge:
            yield frame.badge.rect


def _edges(rect: Rect) -> tuple[Rect, ...]:
    return (
        Rect(rect.x, rect.y, rect.w, 0),
        Rect(rect.x, rect.bottom, rect.w, 0),
        Rect(rect.x, rect.y, 0, rect.h),
        Rect(rect.right, rect.y, 0, rect.h),
    )
