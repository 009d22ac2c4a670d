"""The change gate: what is foreseen, in which order, and what CloudFormation may add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Assemblies
from tests.workbench.deploy.memory import NOTHING, Memory, change
from workbench import usage
from workbench.compare import compare, facts
from workbench.deploy import Refused
from workbench.deploy.gate import (
    Outlook,
    foresee,
    good_reason,
    keepers,
    lock_problems,
    loss_problems,
    refuse_unforeseen,
    risks,
)
from workbench.deploy.live import ChangeSet, as_of_now, deployed
from workbench.templates import Assembly, Change, Impact, Key, StackTemplate, read_assembly
from workbench.templates.replacement import Cause

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


def test_many_losses_are_counted_and_a_few_named_as_everywhere(stages: dict[int, Assembly]) -> None:
    (told,) = loss_problems(outlook := foresee(stages[5], stages[1]), None)
    count = len(list(outlook.losses))
    assert f"the {count} above: " in told
    assert sum(f"{loss.stack}.{loss.id}" in told for loss in outlook.losses) == min(count, 5) < count


def test_a_first_deployment_loses_nothing(stages: dict[int, Assembly]) -> None:
    outlook = foresee(NOTHING, stages[5])
    assert not outlook.down
    assert not list(outlook.losses)
    assert {found.impact for found in outlook.changes.values()} == {Impact.CREATE}


def test_a_copy_of_a_database_may_go_without_a_reason(stages: dict[int, Assembly]) -> None:
    lost = {loss.id for loss in foresee(stages[3], stages[2]).losses if loss.type == DATABASE}
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


def at_risk(before: Assembly, after: Assembly) -> list[str]:
    """What needs a reason besides losses, as the command asks it."""
    moderate = usage.named("moderate")
    return risks(compare(*(facts(label, side, moderate) for label, side in (("old", before), ("new", after)))))


PRIMARY, DATABASE = "DatabasePrimaryEDE0B3D0", "AWS::RDS::DBInstance"


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (change(PRIMARY, DATABASE, replacement="True"), "is replaced"),
        (change(PRIMARY, DATABASE, PolicyAction="ReplaceAndSnapshot"), "is replaced"),
        (change(PRIMARY, DATABASE, replacement="Conditional"), "may be replaced"),
        (change(PRIMARY, "AWS::S3::Bucket", action="Remove", PolicyAction="Retain"), "is removed"),
        (change(PRIMARY, DATABASE), ""),
        (change(PRIMARY, "AWS::CloudWatch::Alarm", replacement="True"), ""),
        (change(PRIMARY, "AWS::S3::Bucket", action="Add"), ""),
    ],
)
def test_the_word_of_cloudformation_wins_until_a_reason_names_the_thing(
    stages: dict[int, Assembly], said: dict[str, Any], refused: str
) -> None:
    outlook, data = foresee(stages[3], stages[3]), stages[3].stack("data")
    assert data is not None
    assert PRIMARY in data.resources
    for reason in (None, BEING_SURE, f"Database and {PRIMARY}OfOld were moved"):
        if refused:
            with pytest.raises(Refused, match=rf"{PRIMARY} \({said['ResourceType']}\) {refused}"):
                refuse_unforeseen(data, ChangeSet(False, (said,)), outlook, reason)
        else:
            refuse_unforeseen(data, ChangeSet(False, (said,)), outlook, reason)
    refuse_unforeseen(data, ChangeSet(False, (said,)), outlook, f"the rows of {PRIMARY} were dumped first")


def changed(assembly: Assembly, role: str, kind: str, **properties: Any) -> tuple[Assembly, str]:
    """The assembly with other properties of one resource, whose id comes with it; None takes a property away."""
    stack = assembly.stack(role)
    assert stack is not None
    (name,) = (name for name, body in stack.resources.items() if body["Type"] == kind and not replica_of(body))
    body = stack.resources[name]
    policies = {key: properties.pop(key) for key in list(properties) if key.endswith("Policy")}
    new = {**body, **policies, "Properties": {**body["Properties"], **properties}}
    template = {**stack.template, "Resources": {**stack.resources, name: new}}
    stacks = (replace(one, template=template) if one is stack else one for one in assembly.stacks)
    return Assembly(tuple(stacks)), name


def with_another(assembly: Assembly, role: str, name: str, **properties: Any) -> Assembly:
    """The assembly with one more database in a stack."""
    stack = assembly.stack(role)
    assert stack is not None
    resources = {**stack.resources, name: {"Type": DATABASE, "Properties": properties}}
    one = replace(stack, template={**stack.template, "Resources": resources})
    return Assembly(tuple(one if each is stack else each for each in assembly.stacks))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"Engine": "postgres"}, None),  # foreseen to go
        (
            {"SourceDBInstanceIdentifier": "primary"},
            {"SourceDBInstanceIdentifier": "primary"},
        ),  # of which there is one more
        ({"MultiAZ": False}, {"MultiAZ": True}),  # which is documented not to replace
    ],
)
def test_what_is_known_of_a_name_in_one_stack_counts_for_no_other(
    stages: dict[int, Assembly], before: dict[str, Any], after: dict[str, Any] | None
) -> None:
    there, data = with_another(stages[3], "web", PRIMARY, **before), stages[3].stack("data")
    assert data is not None
    outlook = foresee(there, stages[3] if after is None else with_another(stages[3], "web", PRIMARY, **after))
    said = ChangeSet(False, (change(PRIMARY, DATABASE, replacement="Conditional"),))
    with pytest.raises(Refused, match="may be replaced"):
        refuse_unforeseen(data, said, outlook, None)


def replica_of(body: dict[str, Any]) -> bool:
    return "SourceDBInstanceIdentifier" in body["Properties"]


def test_what_may_replace_in_general_passes_where_aws_documents_that_it_does_not(stages: dict[int, Assembly]) -> None:
    after, name = changed(stages[2], "data", DATABASE, MultiAZ=False)
    data = after.stack("data")
    assert data is not None
    said = ChangeSet(False, (change(name, DATABASE, replacement="Conditional"),))
    refuse_unforeseen(data, said, foresee(stages[2], after), None)


@pytest.mark.parametrize("follows", [None, ("network", "Group")])
def test_what_may_replace_is_refused_where_nothing_documents_this_very_change(
    stages: dict[int, Assembly], follows: Key | None
) -> None:
    after, name = changed(stages[2], "data", DATABASE, MonitoringInterval=30)
    data, outlook = after.stack("data"), foresee(stages[2], after)
    assert data is not None
    if follows:  # another value because of what it refers to, which is no word of AWS on this property
        cause = Cause(("VPCSecurityGroups",), "old", "new", Impact.UPDATE, "Group is another one", follows)
        outlook = replace(outlook, changes={("data", name): Change("data", name, DATABASE, Impact.UPDATE, (cause,))})
    assert [each.impact for each in outlook.changes.values()] == [Impact.UPDATE]
    said = ChangeSet(False, (change(name, DATABASE, replacement="Conditional"),))
    with pytest.raises(Refused, match="may be replaced"):
        refuse_unforeseen(data, said, outlook, None)


@pytest.mark.parametrize(
    ("kind", "without", "lost"),
    [
        (DATABASE, {"DeletionProtection": False}, "its deletion protection is off"),
        (DATABASE, {"DeletionPolicy": "Delete"}, "is deleted when the template no longer has it"),
        (DATABASE, {"BackupRetentionPeriod": 0}, "has no automatic backups any more"),
        ("AWS::S3::Bucket", {"UpdateReplacePolicy": "Delete"}, "is deleted when it is replaced"),
        ("AWS::S3::Bucket", {"VersioningConfiguration": {"Status": "Suspended"}}, "version"),
    ],
)
def test_losing_what_keeps_it_from_being_deleted_needs_a_reason(
    stages: dict[int, Assembly], kind: str, without: dict[str, Any], lost: str
) -> None:
    after, _ = changed(stages[2], "data", kind, **without)
    (said,) = at_risk(stages[2], after)
    assert lost in said
    assert not at_risk(after, stages[2]), "to be protected more needs no reason"


def test_a_stack_that_may_be_deleted_from_now_on_needs_a_reason(stages: dict[int, Assembly]) -> None:
    after = Assembly(tuple(replace(stack, termination_protection=False) for stack in stages[1].stacks))
    said = at_risk(stages[1], after)
    assert "The stack shop-prod-data can be deleted: its termination protection is off." in said


def test_a_key_that_is_disabled_needs_a_reason(stages: dict[int, Assembly]) -> None:
    after, _ = changed(stages[2], "network", "AWS::KMS::Key", Enabled=False)
    (said,) = at_risk(stages[2], after)
    assert said.endswith("is disabled: what is encrypted with it cannot be read.")


def test_no_move_up_puts_anything_at_risk(stages: dict[int, Assembly]) -> None:
    for before, after in pairwise(stages.values()):
        assert not at_risk(before, after)


def test_only_a_reason_lets_backups_and_copies_go(stages: dict[int, Assembly]) -> None:
    assert any("AWS::Backup" in body["Type"] for stack in stages[2].stacks for body in stack.resources.values())
    without = Assembly(
        tuple(
            replace(stack, template={**stack.template, "Resources": dict(unbacked(stack))})
            for stack in stages[2].stacks
        )
    )
    assert any("no longer copied" in said for said in at_risk(stages[2], without))


def unbacked(stack: StackTemplate) -> Iterator[tuple[str, Any]]:
    return ((name, body) for name, body in stack.resources.items() if not body["Type"].startswith("AWS::Backup::"))


def test_what_keeps_data_is_known_by_what_is_there(assemblies: Assemblies) -> None:
    for number in (1, 2, 3, 4, 5):
        assert not list(keepers(read_assembly(assemblies("sandbox")[number])))
        found = list(keepers(read_assembly(assemblies("production")[number])))
        assert "shop-prod-data is protected against deletion" in found
        assert any(one.startswith("network.EncryptionKey") for one in found)


def test_a_copy_of_a_database_needs_no_reason_from_cloudformation_either(stages: dict[int, Assembly]) -> None:
    outlook, data = foresee(stages[3], stages[2]), stages[3].stack("data")
    assert data is not None
    (copy,) = (found.id for found in outlook.changes.values() if found.type == DATABASE)
    refuse_unforeseen(data, ChangeSet(False, (change(copy, DATABASE, action="Remove"),)), outlook, None)


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
