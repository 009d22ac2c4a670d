"""What stands in no template: the order of deployment, and the tags, protection and account of stacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from blueprint.environment import UNSET_ACCOUNT, Environment
from blueprint.profiles import PROFILES
from tests.stacks.reading import ROLES

STAGES = (1, 2, 3, 4, 5)
Stacks = dict[str, dict[str, Any]]


def stacks(assembly: Path) -> Stacks:
    """Stack artifacts by name, as the CDK command line reads them."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    return {name: found for name, found in artifacts.items() if found["type"] == "aws:cloudformation:stack"}


@pytest.mark.parametrize("stage", STAGES)
def test_all_six_stacks_are_there_and_each_waits_for_the_one_before(production: dict[int, Path], stage: int) -> None:
    found = stacks(production[stage])
    chain = [f"shop-prod-{role}" for role in ROLES]
    assert set(found) == set(chain)
    for older, younger in pairwise(chain):
        assert older in found[younger]["dependencies"]


@pytest.mark.parametrize("stage", STAGES)
def test_only_stacks_that_can_become_empty_may_be_deleted(production: dict[int, Path], stage: int) -> None:
    protected = {
        name.rpartition("-")[2]
        for name, found in stacks(production[stage]).items()
        if found["properties"].get("terminationProtection")
    }
    assert protected == {"network", "data", "web", "signals"}


@pytest.mark.parametrize("stage", STAGES)
def test_no_stack_of_a_sandbox_is_protected(sandbox: dict[int, Path], stage: int) -> None:
    assert not [
        name for name, found in stacks(sandbox[stage]).items() if found["properties"].get("terminationProtection")
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stack_is_tagged_with_its_environment_and_what_the_file_says(
    production: dict[int, Path], stage: int
) -> None:
    for found in stacks(production[stage]).values():
        assert found["properties"]["tags"] == {
            "shop:environment": "shop-prod",
            "shop:region": "us-east-1",
            "owner": "platform team",
        }


def test_a_sandbox_says_how_long_it_is_meant_to_live(sandbox: dict[int, Path]) -> None:
    days = PROFILES["sandbox"].time_to_live_days
    for found in stacks(sandbox[1]).values():
        assert found["properties"]["tags"]["shop:time-to-live"].startswith(f"{days} days")


def test_templates_without_an_account_are_bound_to_one_that_does_not_exist(production: dict[int, Path]) -> None:
    for found in stacks(production[1]).values():
        assert found["environment"] == f"aws://{UNSET_ACCOUNT}/us-east-1"


def test_elsewhere_the_stack_for_the_edge_comes_first(
    load_production: Callable[[int], Environment], synth: Callable[[Environment], Path]
) -> None:
    zones = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
    found = stacks(synth(replace(load_production(4), region="eu-west-1", zones=zones)))
    assert found["shop-prod-global"]["environment"].endswith("/us-east-1")
    assert "shop-prod-global" in found["shop-prod-network"]["dependencies"]
    assert found["shop-prod-global"]["properties"]["terminationProtection"] is True
