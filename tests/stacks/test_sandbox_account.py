"""What keeps a sandbox from hurting: an end, a limit on every role, a budget. Production has no end and no limit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from blueprint.environment import SANDBOX_BUDGET_USD, Environment, load
from tests.stacks.reading import of_type, properties, statements, template
from workbench.templates import read_assembly

STAGES = (1, 2, 3, 4, 5)
ROLE = "AWS::IAM::Role"
MOST_CHARACTERS = 6144  # that IAM takes of a managed policy


def in_all_stacks(assembly: Path, type_: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Stack role, logical id and properties of every resource of a type."""
    for stack in read_assembly(assembly).stacks:
        for name, resource in of_type(dict(stack.template), type_).items():
            yield stack.role, name, resource.get("Properties", {})


def boundary(assembly: Path) -> dict[str, dict[str, Any]]:
    document = properties(template(assembly, "network"), "AWS::IAM::ManagedPolicy")["PolicyDocument"]
    return {statement["Effect"]: statement for statement in document["Statement"]}


@pytest.mark.parametrize("stage", STAGES)
def test_every_role_of_every_stack_carries_the_boundary(sandbox: dict[int, Path], stage: int) -> None:
    network = template(sandbox[stage], "network")
    [policy] = of_type(network, "AWS::IAM::ManagedPolicy")
    [export] = (each["Export"]["Name"] for each in network["Outputs"].values() if each["Value"] == {"Ref": policy})
    examined = 0
    for role, name, props in in_all_stacks(sandbox[stage], ROLE):
        expected = {"Ref": policy} if role == "network" else {"Fn::ImportValue": export}
        assert props.get("PermissionsBoundary") == expected, name
        examined += 1
    assert examined >= 5


def test_a_home_elsewhere_leaves_no_role_without_it(synth: Callable[[Environment], Path]) -> None:
    assembly = synth(replace(load("sandbox", stage="5"), region="eu-west-1"))
    roles = list(in_all_stacks(assembly, ROLE))
    assert len(roles) > 10
    assert [name for _, name, props in roles if "PermissionsBoundary" not in props] == []
    assert len(boundary(assembly)["Allow"]["Condition"]["StringEqualsIfExists"]["aws:RequestedRegion"]) == 2


@pytest.mark.parametrize("stage", STAGES)
def test_the_boundary_takes_nothing_away_that_a_role_needs(sandbox: dict[int, Path], stage: int) -> None:
    allow, deny = (boundary(sandbox[stage])[effect]["Action"] for effect in ("Allow", "Deny"))
    documents = [props["PolicyDocument"] for _, _, props in in_all_stacks(sandbox[stage], "AWS::IAM::Policy")]
    for _, _, props in in_all_stacks(sandbox[stage], ROLE):
        documents += [each["PolicyDocument"] for each in props.get("Policies", [])]
    needed = set()
    for statement in (one for document in documents for one in document["Statement"]):
        needed |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    assert len(needed) > 50
    assert {action for action in needed if not any(fnmatchcase(action, pattern) for pattern in allow)} == set()
    assert {action for action in needed if any(fnmatchcase(action, pattern) for pattern in deny)} == set()


def test_the_boundary_is_the_same_at_every_stage_and_short_enough(sandbox: dict[int, Path]) -> None:
    first = boundary(sandbox[1])
    assert all(boundary(sandbox[stage]) == first for stage in STAGES)
    assert len("".join(str(first).split())) < MOST_CHARACTERS


@pytest.mark.parametrize("stage", STAGES)
def test_the_network_promises_the_same_at_every_stage_here_too(sandbox: dict[int, Path], stage: int) -> None:
    assert template(sandbox[stage], "network")["Outputs"] == template(sandbox[1], "network")["Outputs"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_end_is_scheduled_in_the_stack_that_goes_last(sandbox: dict[int, Path], stage: int) -> None:
    assert [role for role, _, _ in in_all_stacks(sandbox[stage], "AWS::Scheduler::Schedule")] == ["network"]


@pytest.mark.parametrize("type_", ["AWS::EC2::VPC", "AWS::S3::Bucket"])
def test_what_may_refuse_to_go_goes_before_the_teardown(sandbox: dict[int, Path], type_: str) -> None:
    network = template(sandbox[5], "network")
    [schedule] = of_type(network, "AWS::Scheduler::Schedule")
    [stubborn] = of_type(network, type_).values()
    assert schedule in stubborn["DependsOn"]


# What the teardown may remove because of its name, and how CloudFormation makes such a name of those of the stack and
# of the resource; S3 and RDS take no capitals.
NAMED: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "AWS::DynamoDB::Table": ("dynamodb:DeleteTable", lambda stack, name: f"table/{stack}-{name}-A1"),
    "AWS::RDS::DBInstance": (
        "logs:DeleteLogGroup",
        lambda stack, name: f"/aws/rds/instance/{stack}-{name.lower()}-a1/postgresql",
    ),
    "AWS::S3::Bucket": ("s3:DeleteBucket", lambda stack, name: f"{stack}-{name.lower()}-a1"),
}
NEIGHBOURS = ("shop-data", "shop-data-database", "shop-edge-cdn", "shop-network-x", "shop-workers", "shop-workers-st")


def plain(arns: Any) -> list[str]:
    arns = arns if isinstance(arns, list) else [arns]
    return [arn if isinstance(arn, str) else "".join(map(str, arn["Fn::Join"][1])) for arn in arns]


@pytest.mark.parametrize("type_", NAMED)
def test_the_teardown_may_remove_what_is_named_as_ours_and_nothing_of_a_neighbour(
    sandbox: dict[int, Path], type_: str
) -> None:
    action, name_of = NAMED[type_]
    by_name = [one for one in statements(template(sandbox[5], "network"), action) if "Condition" not in one]
    patterns = [arn.split(":", 5)[5].removeprefix("log-group:") for one in by_name for arn in plain(one["Resource"])]
    resources = [(role, name) for role, name, _ in in_all_stacks(sandbox[5], type_)]
    assert resources
    for role, resource in resources:
        names = [name_of(f"{environment}-{role}", resource) for environment in ("shop", *NEIGHBOURS)]
        assert [name for name in names if any(fnmatchcase(name, each) for each in patterns)] == names[:1]


@pytest.mark.parametrize("stage", STAGES)
def test_production_has_no_end_and_no_limit(production: dict[int, Path], stage: int) -> None:
    for type_ in ("AWS::Scheduler::Schedule", "AWS::IAM::ManagedPolicy"):
        assert list(in_all_stacks(production[stage], type_)) == []
    roles = list(in_all_stacks(production[stage], ROLE))
    assert [name for _, name, props in roles if "PermissionsBoundary" in props] == []


@pytest.mark.parametrize("stage", STAGES)
def test_every_stack_says_how_long_it_lives_in_the_words_that_the_teardown_reads(
    sandbox: dict[int, Path], stage: int
) -> None:
    manifest = json.loads((sandbox[stage] / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
    tags = [each["properties"]["tags"] for each in manifest.values() if each["type"] == "aws:cloudformation:stack"]
    assert len(tags) == 6
    for carried in tags:
        assert carried["shop:environment"] == "shop"
        assert carried["shop:time-to-live"] == "7 days from the creation of the stack"


@pytest.mark.parametrize("stage", STAGES)
def test_a_budget_is_there_without_anybody_asking(sandbox: dict[int, Path], stage: int) -> None:
    [(_, _, budget)] = in_all_stacks(sandbox[stage], "AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": SANDBOX_BUDGET_USD, "Unit": "USD"}
    assert len(budget["NotificationsWithSubscribers"]) == 2
