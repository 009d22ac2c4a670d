"""How the CDK command line is called: which stacks, in which order, and what happens between its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.workbench.deploy.memory import NOTHING, Memory, Recorder, change
from workbench.deploy import Refused
from workbench.deploy.command_line import cdk, deploy, groups
from workbench.deploy.gate import foresee
from workbench.deploy.live import ChangeSet, Deployed
from workbench.templates import Assembly, StackTemplate, read_assembly


@pytest.fixture(scope="module")
def stages(sandbox: dict[int, Path]) -> dict[int, Assembly]:
    return {0: NOTHING} | {number: read_assembly(folder) for number, folder in sandbox.items()}


def there(assembly: Assembly) -> Assembly:
    """What would be in the account: stacks that have something in them."""
    return Assembly(tuple(stack for stack in assembly.stacks if stack.resources))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0, 1, ["network data web", "signals"]),
        (4, 4, []),
        (3, 4, ["network", "data", "web", "edge", "signals"]),
        (4, 5, ["web", "workers", "signals"]),
        (5, 4, ["signals", "workers", "web"]),
        (4, 3, ["signals", "edge", "web", "data", "network"]),
    ],
)
def test_stacks_go_one_by_one_where_there_is_something_to_ask(
    stages: dict[int, Assembly], before: int, after: int, expected: list[str]
) -> None:
    outlook = foresee(there(stages[before]), stages[after])
    found = [" ".join(stack.role for stack in group) for group in groups(outlook)]
    assert found == expected


def test_a_changed_stack_is_asked_about_before_it_is_changed(stages: dict[int, Assembly]) -> None:
    run, memory = Recorder(), Memory()
    deploy(foresee(there(stages[4]), stages[5]), memory, run, None, {})
    assert run.stacks == [
        ("prepare", "web"),
        ("execute", "web"),
        ("deploy", "workers"),
        ("prepare", "signals"),
        ("execute", "signals"),
    ]
    assert all("--exclusively" in call for call in run.calls if "execute-change-set" not in call)
    assert all(call[call.index("--require-approval") + 1] == "never" for call in run.calls), "nobody is there to ask"


@pytest.mark.parametrize(
    "differs",
    [
        {"tags": {"owner": "somebody else"}},
        {"termination_protection": True},
        {"template": {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": {}}},
        {"template": {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Parameters": {}}},
    ],
    ids=["tags", "protection", "outputs", "parameters"],
)
def test_a_stack_is_asked_about_whatever_differs(differs: dict[str, Any]) -> None:
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    stack = StackTemplate("shop-web", "web", template, region="us-east-1")
    run = Recorder()
    deploy(foresee(Assembly((replace(stack, **differs),)), Assembly((stack,))), Memory(), run, None, {})
    assert run.stacks == [("prepare", "web"), ("execute", "web")]


def test_each_run_executes_only_the_change_set_that_it_has_read(stages: dict[int, Assembly]) -> None:
    runs = [Recorder(), Recorder()]
    for run in runs:
        deploy(foresee(there(stages[4]), stages[5]), Memory(), run, None, {})
    one, other = (
        {call[call.index("--change-set-name") + 1] for call in run.calls if "--change-set-name" in call} for run in runs
    )
    assert len(one) == len(other) == 1
    assert one != other


def test_going_down_an_emptied_stack_is_left_to_the_command_line(stages: dict[int, Assembly]) -> None:
    run = Recorder()
    deploy(foresee(there(stages[5]), stages[4]), Memory(), run, "the runbook has run, see its record", {})
    assert run.stacks[:3] == [("prepare", "signals"), ("execute", "signals"), ("deploy", "workers")]


def test_what_cloudformation_adds_stops_before_anything_of_that_stack_is_changed(stages: dict[int, Assembly]) -> None:
    run = Recorder()
    said = ChangeSet(False, (change("Sessions", "AWS::DynamoDB::Table", replacement="True"),))
    memory = Memory(said={"shop-web": said})
    with pytest.raises(Refused, match=r"shop-web: CloudFormation goes further .* Sessions"):
        deploy(foresee(there(stages[4]), stages[5]), memory, run, "the image is old, the new one comes next week", {})
    assert run.stacks == [("prepare", "web")]
    assert memory.discarded == ["shop-web"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), Refused("cdk ended with 1")])
@pytest.mark.parametrize("while_it_is_made", [True, False])
def test_a_change_set_that_nobody_has_read_does_not_stay(
    stages: dict[int, Assembly], monkeypatch: pytest.MonkeyPatch, problem: BaseException, while_it_is_made: bool
) -> None:
    memory = Memory()

    def fail(*arguments: Any) -> None:
        if not while_it_is_made or "prepare-change-set" in arguments[0]:
            raise problem

    if not while_it_is_made:
        monkeypatch.setattr(memory, "change_set", fail)
    run = fail if while_it_is_made else Recorder()
    with pytest.raises(type(problem)):
        deploy(foresee(there(stages[4]), stages[5]), memory, run, None, {})
    assert memory.discarded == ["shop-web"]


def test_that_a_change_set_cannot_be_thrown_away_hides_nothing(
    stages: dict[int, Assembly], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(said={"shop-web": ChangeSet(False, (change("Sessions", "AWS::DynamoDB::Table", "Remove"),))})
    monkeypatch.setattr(memory, "discard", lambda *_: 1 / 0)
    with pytest.raises(Refused, match="Sessions"):
        deploy(foresee(there(stages[4]), stages[5]), memory, Recorder(), None, {})


@pytest.mark.parametrize("role", ["web", "edge", "signals"])
def test_a_stack_that_somebody_deploys_while_others_are_deployed_is_left_alone(
    stages: dict[int, Assembly], role: str
) -> None:
    memory = Memory()
    memory.deploy(stages[3])
    agreed, calls = dict(memory.stacks), Recorder()

    def run(arguments: Sequence[str]) -> None:
        calls(arguments)
        if "shop-network" in arguments:
            memory.stacks[f"shop-{role}"] = Deployed(f"shop-{role}", "UPDATE_COMPLETE", {"Resources": {"Queue": {}}})

    with pytest.raises(Refused, match=f"shop-{role} has changed since it was read; deploy again"):
        deploy(foresee(there(stages[3]), stages[4]), memory, run, None, agreed)
    assert not any(role in names.split() for _, names in calls.stacks)


def test_what_one_pass_has_deployed_is_known_to_the_next(stages: dict[int, Assembly]) -> None:
    memory, calls, agreed = Memory(), Recorder(), dict[str, Deployed]()

    def run(arguments: Sequence[str]) -> None:
        calls(arguments)
        memory.deploy(Assembly(tuple(stack for stack in stages[3].stacks if stack.name in arguments)))

    for _ in range(2):
        deploy(foresee(NOTHING, stages[3]), memory, run, None, agreed)
    assert agreed.keys() == memory.stacks.keys()


def test_a_stack_that_is_empty_and_was_not_there_is_never_named(stages: dict[int, Assembly]) -> None:
    """The command line deletes an empty stack that exists, and somebody may have made it a moment ago."""
    for before, after in permutations(stages, 2):
        if after:
            outlook = foresee(there(stages[before]), stages[after])
            named = {stack.role for group in groups(outlook) for stack in group if not stack.resources}
            assert named <= {stack.role for stack in outlook.before.stacks}


def test_a_change_set_without_changes_is_thrown_away(stages: dict[int, Assembly]) -> None:
    run, memory = Recorder(), Memory(said={"shop-web": ChangeSet(True, ())})
    deploy(foresee(there(stages[4]), stages[5]), memory, run, None, {})
    assert ("execute", "web") not in run.stacks
    assert memory.discarded == ["shop-web"]


@pytest.mark.slow
def test_the_real_command_line_reads_the_assembly(sandbox: dict[int, Path], capfd: pytest.CaptureFixture[str]) -> None:
    cdk(sandbox[1])(["ls"])
    assert capfd.readouterr().out.split() == [
        f"shop-{role}" for role in ("network", "data", "web", "edge", "workers", "signals")
    ]


@pytest.mark.slow
def test_a_command_line_that_fails_stops_the_deployment(sandbox: dict[int, Path]) -> None:
    with pytest.raises(Refused, match="cdk deploy no-such-stack ended with 1"):
        cdk(sandbox[1])(["deploy", "no-such-stack"])
