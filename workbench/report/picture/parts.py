"""What a finished picture consists of: rectangles, texts and lines with their places, ready to be written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from workbench.compare.scene import Mark
from workbench.report.picture.measure import width
from workbench.templates import Key

TITLE, TEXT, BADGE = 13, 12, 11.5  # sizes of type, in pixels
BADGE_HEIGHT = 16
LABEL_HEIGHT = 18


@dataclass(frozen=True)
class Rect:
    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def bottom(self) -> float:
        return self.y + self.h

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    def touches(self, other: Rect, gap: float = 0) -> bool:
        return (
            self.x < other.right + gap
            and other.x < self.right + gap
            and self.y < other.bottom + gap
            and other.y < self.bottom + gap
        )

    def holds(self, other: Rect) -> bool:
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom

    def moved(self, x: float, y: float) -> Rect:
        return replace(self, x=self.x + x, y=self.y + y)


@dataclass(frozen=True)
class Text:
    """One line of text; `y` is where its letters stand."""

    x: float
    y: float
    text: str
    style: str = "fact"  # title, fact, delta, caption
    size: float = TEXT
    bold: bool = False

    @property
    def rect(self) -> Rect:
        return Rect(self.x, self.y - self.size * 0.93, width(self.text, self.size, bold=self.bold), self.size * 1.17)


@dataclass(frozen=True)
class Icon:
    name: str
    rect: Rect


@dataclass(frozen=True)
class Badge:
    mark: Mark
    rect: Rect

    @staticmethod
    def at(mark: Mark, x: float, y: float) -> Badge:
        return Badge(mark, Rect(x, y, width(mark.value, BADGE, bold=True) + 12, BADGE_HEIGHT))


@dataclass(frozen=True)
class Card:
    """One thing with all that is written in it."""

    id: str
    kind: str  # card, group, chip, plain
    rect: Rect
    keys: tuple[Key, ...]
    name: str  # for those who cannot see it
    mark: Mark | None
    texts: tuple[Text, ...]
    icons: tuple[Icon, ...]
    badge: Badge | None = None
    ghost: bool = False
    step: tuple[tuple[float, float], ...] = ()  # the arrow between a queue and its worker


@dataclass(frozen=True)
class Frame:
    """A region, a network, a zone or a subnet: what cards stand in."""

    kind: str
    rect: Rect
    texts: tuple[Text, ...] = ()
    keys: tuple[Key, ...] = ()
    mark: Mark | None = None
    badge: Badge | None = None


@dataclass(frozen=True)
class Line:
    """One arrow, along horizontals and verticals."""

    source: str
    target: str
    points: tuple[tuple[float, float], ...]
    mark: Mark | None = None
    copies: bool = False
    said: str = ""

    def segments(self) -> Iterator[Rect]:
        for (x1, y1), (x2, y2) in zip(self.points, self.points[1:], strict=False):
            yield Rect(min(x1, x2), min(y1, y2), abs(x1 - x2), abs(y1 - y2))


@dataclass(frozen=True)
class Label:
    line: int  # which of the lines it belongs to
    text: Text
    rect: Rect
    mark: Mark | None = None
    ground: str = ""  # the kind of frame that it stands on


@dataclass(frozen=True)
class Picture:
    """Everything, in the order in which it is drawn."""

    width: float
    height: float
    frames: tuple[Frame, ...] = ()
    cards: tuple[Card, ...] = ()
    lines: tuple[Line, ...] = ()
    labels: tuple[Label, ...] = ()
    notes: tuple[Text, ...] = ()
