"""The grid that a picture stands on: how wide things are, and the lanes between them that arrows run along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.compare.scene import Mark, Node, Place, Scene
from workbench.report.picture.parts import Card, Frame, Rect

MARGIN = 18
FRAME_HEAD, FRAME_PAD = 34, 14  # of a region or a network
LANE, EDGE_LANE = 22, 56  # how wide a lane is at least


@dataclass(frozen=True)
class Wire:
    """A way that arrows may take: a lane, or the way out of one side of a card."""

    name: str
    upright: bool
    at: float
    low: float
    high: float
    size: float = 0  # of a lane in which everything keeps to the far side


@dataclass
class Placement:
    """A whole picture but for its arrows."""

    cards: dict[str, Card] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    lanes: dict[str, Wire] = field(default_factory=dict)
    solid: list[Rect] = field(default_factory=list)  # what no arrow may cross
    reach: dict[str, Rect] = field(default_factory=dict)  # how far the way out of a card leads
    strips: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # where arrows leave up or down
    width: float = 0
    height: float = 0


class Grid:
    """A scene that is being placed, with lanes as wide as they have to be."""

    def __init__(self, scene: Scene, lanes: Mapping[str, float], like: Placement | None = None) -> None:
        self.scene = scene
        self.sizes = lanes
        self.order = list(like.cards) if like else []
        self.made = Placement()
        self.by_place: dict[Place, list[Node]] = defaultdict(list)
        for node in scene.nodes:
            self.by_place[node.place].append(node)

    def lane(self, name: str, least: float) -> float:
        """How wide a lane is: what runs along it needs so much room."""
        return max(least, self.sizes.get(name, 0))

    def add(self, made: Card, inside: Sequence[Card] = ()) -> None:
        """Puts a card in its place, with what it holds."""
        for card in (made, *inside):
            self.made.cards[card.id] = card
        self.made.solid.append(made.rect)


def is_ghost(node: Node) -> bool:
    """Whether a thing is drawn only because it was there before."""
    return node.mark is Mark.REMOVED
