"""The change gate: what is foreseen, in which order, and what CloudFormation may add."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Assemblies
from tests.workbench.deploy.memory import NOTHING, Memory, change
from workbench.deploy import Refused
from workbench.deploy.gate import Outlook, foresee, good_reason, lock_problems, loss_problems, refuse_unforeseen
from workbench.deploy.live import ChangeSet, as_of_now, deployed
from workbench.templates import Assembly, Impact, read_assembly

BEING_SURE = "the runbook has run, see its record"


@pytest.fixture(scope="module")
def stages(production: dict[int, Path]) -> dict[int, Assembly]:
    return {number: read_assembly(folder) for number, folder in production.items()}


@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_every_move_goes_in_the_order_of_its_direction_and_meets_no_lock(assemblies: Assemblies, profile: str) -> None:
    sides = {number: read_assembly(folder) for number, folder in assemblies(profile).items()}
    for one, other in permutations(sides, 2):
        outlook = foresee(sides[one], sides[other])
        assert outlook.down is (other < one)
        assert outlook.order[0] == ("signals" if other < one else "network")
        assert not list(lock_problems(outlook))


@pytest.mark.parametrize(
    ("before", "after", "types"),
    [
        (1, 2, set[str]()),
        (2, 3, {"AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::EC2::EIP"}),
        (3, 4, set[str]()),
        (4, 5, set[str]()),
        (5, 4, {"AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Logs::LogGroup"}),
    ],
)
def test_what_others_rely_on_goes_only_with_a_reason(
    stages: dict[int, Assembly], before: int, after: int, types: set[str]
) -> None:
    outlook = foresee(stages[before], stages[after])
    assert {loss.type for loss in outlook.losses} == types
    assert bool(list(loss_problems(outlook, None))) is bool(types)
    assert not list(loss_problems(outlook, BEING_SURE))


def test_a_first_deployment_loses_nothing(stages: dict[int, Assembly]) -> None:
    outlook = foresee(NOTHING, stages[5])
    assert not outlook.down
    assert not list(outlook.losses)
    assert {found.impact for found in outlook.changes.values()} == {Impact.CREATE}


def test_a_copy_of_a_database_may_go_without_a_reason(stages: dict[int, Assembly]) -> None:
    lost = {loss.id for loss in foresee(stages[3], stages[2]).losses if loss.type == "AWS::RDS::DBInstance"}
    assert not lost


def test_another_image_behind_a_parameter_is_seen(sandbox: dict[int, Path]) -> None:
    wanted = read_assembly(sandbox[1])
    memory = Memory.of(sandbox[1])
    (name,) = (key for key in wanted.stack("web").template["Parameters"] if key.startswith("Ssm"))  # type: ignore[union-attr]
    path = wanted.stack("web").template["Parameters"][name]["Default"]  # type: ignore[union-attr]
    memory.parameters[path] = "ami-0bbb"
    for image, lost in (("ami-0bbb", 0), ("ami-0aaa", 1)):
        memory.stacks["shop-web"] = replace(memory.stacks["shop-web"], parameters={name: image})
        outlook = foresee(deployed(wanted, memory), as_of_now(wanted, memory))
        assert [loss.type for loss in outlook.losses] == ["AWS::EC2::Instance"] * lost


def test_a_value_taken_from_its_reader_is_never_let_pass(stages: dict[int, Assembly]) -> None:
    network = stages[3].stack("network")
    assert network is not None
    without = replace(network, template={**network.template, "Outputs": {}})
    after = Assembly(tuple(without if stack is network else stack for stack in stages[3].stacks))
    problems = list(lock_problems(foresee(stages[3], after)))
    assert any(
        problem.startswith("network: ") and "removed while another stack imports it" in problem for problem in problems
    )


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (change("Primary", "AWS::RDS::DBInstance", replacement="True"), "Primary .* is replaced"),
        (change("Primary", "AWS::RDS::DBInstance", PolicyAction="ReplaceAndSnapshot"), "Primary .* is replaced"),
        (change("Bucket", "AWS::S3::Bucket", action="Remove", PolicyAction="Retain"), "Bucket .* is removed"),
        (change("Primary", "AWS::RDS::DBInstance"), ""),
        # What may replace is what the prediction knows better, property by property.
        (change("Host", "AWS::EC2::Instance", replacement="Conditional"), ""),
        (change("Alarm", "AWS::CloudWatch::Alarm", replacement="True"), ""),
        (change("New", "AWS::S3::Bucket", action="Add"), ""),
    ],
)
def test_the_word_of_cloudformation_wins(stages: dict[int, Assembly], said: dict[str, Any], refused: str) -> None:
    outlook, data = foresee(stages[3], stages[3]), stages[3].stack("data")
    assert data is not None
    if not refused:
        refuse_unforeseen(data, ChangeSet(False, (said,)), outlook, None)
        return
    with pytest.raises(Refused, match=refused):
        refuse_unforeseen(data, ChangeSet(False, (said,)), outlook, None)
    refuse_unforeseen(data, ChangeSet(False, (said,)), outlook, BEING_SURE)


def test_a_copy_of_a_database_needs_no_reason_from_cloudformation_either(stages: dict[int, Assembly]) -> None:
    outlook, data = foresee(stages[3], stages[2]), stages[3].stack("data")
    assert data is not None
    (copy,) = (found.id for found in outlook.changes.values() if found.type == "AWS::RDS::DBInstance")
    refuse_unforeseen(data, ChangeSet(False, (change(copy, "AWS::RDS::DBInstance", action="Remove"),)), outlook, None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), ("  the runbook \n has run today ", "the runbook has run today"), ("x" * 500, "x" * 500)],
)
def test_a_reason_is_taken_in_one_line(given: str | None, kept: str | None) -> None:
    assert good_reason(given) == kept


@pytest.mark.parametrize("given", ["", "ok", "                             ", "x" * 501])
def test_a_reason_that_says_nothing_or_too_much_is_refused(given: str) -> None:
    with pytest.raises(Refused, match="what a reviewer would accept"):
        good_reason(given)


def test_the_outlook_touches_only_what_changes(stages: dict[int, Assembly]) -> None:
    outlook: Outlook = foresee(stages[4], stages[5])
    assert outlook.touches("workers")
    assert not foresee(stages[4], stages[4]).touches("workers")
