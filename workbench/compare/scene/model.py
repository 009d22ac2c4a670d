"""What a picture shows, as data: places, things in them with what they stand for, and arrows between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from workbench.templates import Key


class Mark(StrEnum):
    """What a comparison does to a thing, in the words of its badge."""

    NEW = "NEW"
    CHANGED = "CHANGED"
    MAYBE = "REPLACED?"
    REPLACED = "REPLACED"
    REMOVED = "REMOVED"


class Place(StrEnum):
    """Where a thing stands."""

    EDGE = "edge"  # outside: users, and what answers them all over the world
    PUBLIC = "public"  # the three tiers of a VPC
    APP = "app"
    DATA = "data"
    MESSAGING = "messaging"  # regional services that work is passed through
    SERVICES = "services"  # regional services that keep or deliver
    OPERATIONS = "operations"  # what everything uses: keys, secrets, alarms, backups


TIERS = (Place.PUBLIC, Place.APP, Place.DATA)


@dataclass(frozen=True)
class Fact:
    """One line under a title: "m7g.large", and what it was before."""

    about: str
    text: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.before} → {self.text}" if self.before else self.text


@dataclass(frozen=True)
class Node:
    """One thing, with the keys of all resources that it stands for; the first one is what it is called after."""

    id: str
    icons: tuple[str, ...]  # two of them are a queue and its worker
    title: str
    place: Place
    facts: tuple[Fact, ...] = ()
    keys: tuple[Key, ...] = ()
    vpc: str = ""
    zones: tuple[int, ...] = ()  # the columns that it stands in
    members: tuple[Node, ...] = ()
    guard: Node | None = None  # the firewall before it
    mark: Mark | None = None
    note: str = ""  # what changes, for those who ask

    def all(self) -> Iterator[Node]:
        """Itself and what is inside."""
        yield self
        for node in (*self.members, *([self.guard] if self.guard else [])):
            yield from node.all()


@dataclass(frozen=True)
class Subnet:
    """One tier of a VPC in one zone."""

    tier: Place
    zone: int
    title: str
    keys: tuple[Key, ...]
    mark: Mark | None = None


@dataclass(frozen=True)
class Vpc:
    """A private network: zones are its columns, tiers its rows."""

    id: str
    title: str
    zones: tuple[str, ...]
    subnets: tuple[Subnet, ...]
    keys: tuple[Key, ...]
    facts: tuple[Fact, ...] = ()
    mark: Mark | None = None


@dataclass(frozen=True)
class Arrow:
    """Who calls, feeds or copies to whom."""

    source: str
    target: str
    label: str = ""
    mark: Mark | None = None
    copies: bool = False  # data that is replicated, inside one database


@dataclass(frozen=True)
class Scene:
    """Everything in the picture."""

    region: str = ""
    vpcs: tuple[Vpc, ...] = ()
    nodes: tuple[Node, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    more: int = 0  # things that found no room
    more_arrows: int = 0
    compared: bool = False

    @property
    def empty(self) -> bool:
        """True when the templates hold nothing that could be drawn."""
        return not self.nodes and not self.vpcs

    def all(self) -> Iterator[Node]:
        """Every thing, also those inside others."""
        for node in self.nodes:
            yield from node.all()
