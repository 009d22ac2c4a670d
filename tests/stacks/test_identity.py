"""Who is who: the logical ids of everything stateful, over all stages. Another id is another, empty resource."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from tests.golden_files import GOLDEN, mismatch
from workbench.facts.stateful import STATEFUL
from workbench.templates import read_assembly, resources

pytestmark = pytest.mark.gate

IDENTITY = GOLDEN / "identity.tsv"
ADDRESS = "AWS::EC2::EIP"
COLUMNS = ("stack", "logical id", "type", "stages")


def identities(assemblies: dict[int, Path]) -> dict[tuple[str, str, str], list[int]]:
    """(stack, logical id, type) of each stateful resource -> the stages that have it."""
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for stage, assembly in sorted(assemblies.items()):
        for resource in resources(read_assembly(assembly)).values():
            if resource.type in STATEFUL:
                found[resource.stack, resource.id, resource.type].append(stage)
    return found


def table(assemblies: dict[int, Path]) -> str:
    rows = [COLUMNS]
    for (stack, logical_id, type_), stages in sorted(identities(assemblies).items()):
        rows.append((stack, logical_id, type_, " ".join(map(str, stages))))
    return "".join("\t".join(row) + "\n" for row in rows)


def test_what_is_stateful_is_the_same_resource_as_ever(production: dict[int, Path], refresh: bool) -> None:
    found = table(production)
    if refresh:
        IDENTITY.write_text(found, encoding="utf-8")
    difference = mismatch(IDENTITY, found)
    assert not difference, difference


def test_a_logical_id_means_one_thing_in_one_stack(production: dict[int, Path]) -> None:
    homes = defaultdict(set)
    for stack, logical_id, type_ in identities(production):
        homes[logical_id].add((stack, type_))
    assert len(homes) > 40
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_identity_does_not_depend_on_the_profile(production: dict[int, Path], sandbox: dict[int, Path]) -> None:
    """Whoever tries a move in a sandbox has tried the move of production."""
    ours, theirs = identities(production), identities(sandbox)
    for key in [key for key in ours if key[2] == ADDRESS]:
        del ours[key]  # an environment chooses how many ways out it has, each with an address
    assert {key: stages for key, stages in ours.items() if key not in theirs or theirs[key] != stages} == {}


def test_no_stateful_id_carries_a_stage(production: dict[int, Path]) -> None:
    named = [logical_id for _, logical_id, _ in identities(production) if "stage" in logical_id.lower()]
    assert named == []
