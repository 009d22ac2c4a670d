"""What a system costs a month, line by line, from list prices; what has no price stays unknown and is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workbench.cost.by_use import BY_USE
from workbench.cost.part import Left, Part, Remark
from workbench.cost.prices import Price, facts, listed_in, prices, tiers
from workbench.cost.standing import STANDING
from workbench.cost.traffic import Traffic
from workbench.templates import Assembly, Key
from workbench.templates.reading import Resource, System
from workbench.usage import Usage


@dataclass(frozen=True)
class Line:
    """One component of one resource at one price."""

    stack: str
    resource: str
    name: str  # as people call the resource: "Database/Primary"
    component: str
    quantity: float  # in units of the price
    price: Price
    by_use: bool = False

    @property
    def key(self) -> Key:
        return self.stack, self.resource

    @property
    def cents(self) -> int:
        """Rounded here and only here, so that a reader can add the lines up."""
        return round(self.quantity * self.price.usd * 100)

    @property
    def usd(self) -> float:
        return self.cents / 100


@dataclass(frozen=True)
class Unpriced:
    """Something without a figure: unknown, or billed by use."""

    stack: str
    resource: str
    name: str
    type: str
    what: str

    @property
    def key(self) -> Key:
        return self.stack, self.resource


@dataclass(frozen=True)
class Estimate:
    """The cost of a month. With anything unknown in it, the total is only a part."""

    lines: tuple[Line, ...]
    unknown: tuple[Unpriced, ...]
    by_use: tuple[Unpriced, ...]
    usage: Usage | None = None  # None: at rest, while nobody visits
    remarks: tuple[str, ...] = ()

    @property
    def usd(self) -> float:
        return sum(line.cents for line in self.lines) / 100

    @property
    def complete(self) -> bool:
        return not self.unknown

    @property
    def oldest(self) -> Price | None:
        """The price that was read longest ago."""
        used = {line.price for line in self.lines}
        return min(used, key=lambda price: (price.as_of, price.place, price.above), default=None)


def estimate(system: System, usage: Usage | None = None, region: str | None = None) -> Estimate:
    """What a system costs a month at a usage, or at rest. `region` is for stacks that do not say where they are."""
    traffic = None if usage is None else Traffic(system, usage)
    lines: list[Line] = []
    unknown: list[Unpriced] = []
    by_use: list[Unpriced] = []
    remarks: list[str] = []
    for resource in system.resources:
        place = resource.stack.role, resource.id, resource.name
        for said, used in _said(system, traffic, resource):
            match said:
                case Part():
                    where = listed_in(resource.stack.region or region or "", said.region)
                    rows = prices().get((said.service, said.item, where), ())
                    missing = _missing(said, where, rows)
                    if missing:
                        unknown.append(Unpriced(*place, resource.type, f"{said.component}: {missing}"))
                    lines += [
                        Line(*place, said.component, quantity, price, used)
                        for price, quantity in tiers(rows, said.amount or 0)
                    ]
                case Left():
                    by_use.append(Unpriced(*place, resource.type, said.what))
                case Remark():
                    remarks.append(said.text)
                case None:
                    unknown.append(Unpriced(*place, resource.type, "a type that nobody has priced"))
    return Estimate(tuple(lines), tuple(unknown), tuple(by_use), usage, tuple(remarks))


def standing_cost(assembly: Assembly) -> Estimate:
    """What an assembly costs while nobody visits."""
    return estimate(System(assembly))


def _said(
    system: System, traffic: Traffic | None, resource: Resource
) -> Iterator[tuple[Part | Left | Remark | None, bool]]:
    """All that there is to say about one resource, and whether it comes from the usage."""
    standing = STANDING.get(resource.type)
    if standing is not None:
        yield from ((part, False) for part in standing(system, resource))
    if traffic is not None and resource.type in BY_USE:
        yield from ((said, True) for said in BY_USE[resource.type](traffic, resource))
    elif resource.type in facts()["by_use"]:
        yield Left(facts()["by_use"][resource.type]), True
    elif standing is None and resource.type not in facts()["free"]:
        yield None, False


def _missing(part: Part, where: str, rows: tuple[Price, ...]) -> str:
    """Why a part cannot be priced; empty when it can."""
    if part.amount == 0:
        return ""
    if not where:
        return "the template does not say in which region it is"
    if not rows:
        return f"no price of {part.service}, {part.item} in {where}"
    return "" if part.amount is not None else "the template does not say how much of it"
