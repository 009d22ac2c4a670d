"""Everything that one side says about itself, asked once."""

from __future__ import annotations

from dataclasses import replace

from workbench.compare.aspects import availability, capacity, exposure, protection, rights
from workbench.compare.model import Facts
from workbench.cost import estimate
from workbench.templates import Assembly
from workbench.templates.reading import System
from workbench.usage import Usage


def facts(label: str, assembly: Assembly, usage: Usage, *, region: str | None = None) -> Facts:
    """What there is to compare about an assembly; `region` is where stacks are that do not say it themselves."""
    if region:
        assembly = Assembly(tuple(replace(stack, region=stack.region or region) for stack in assembly.stacks))
    system = System(assembly)
    return Facts(
        label=label,
        assembly=assembly,
        system=system,
        grants=rights.grants(system),
        openings=exposure.openings(system),
        entrances=exposure.entrances(system),
        guards=protection.guards(system),
        cost=estimate(system, usage),
        availability=availability.availability(system),
        capacity=capacity.capacity(system, usage),
    )
