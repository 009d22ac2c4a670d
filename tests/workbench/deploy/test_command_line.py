"""How the CDK command line is called: which stacks, in which order, and what happens between its calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.workbench.deploy.memory import NOTHING, Memory, change
from workbench.deploy import Refused
from workbench.deploy.command_line import cdk, deploy, groups
from workbench.deploy.gate import foresee
from workbench.deploy.live import ChangeSet
from workbench.templates import Assembly, read_assembly


class Recorder:
    """A command line that only notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> None:
        self.calls.append(list(arguments))

    @property
    def stacks(self) -> list[tuple[str, str]]:
        """Method and stacks of each call, without the environment's name."""
        methods = ("prepare-change-set", "execute-change-set")
        return [
            (
                next((method.partition("-")[0] for method in methods if method in call), call[0]),
                " ".join(word.removeprefix("shop-") for word in call if word.startswith("shop-")),
            )
            for call in self.calls
        ]


@pytest.fixture(scope="module")
def stages(sandbox: dict[int, Path]) -> dict[int, Assembly]:
    return {0: NOTHING} | {number: read_assembly(folder) for number, folder in sandbox.items()}


def there(assembly: Assembly) -> Assembly:
    """What would be in the account: stacks that have something in them."""
    return Assembly(tuple(stack for stack in assembly.stacks if stack.resources))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0, 1, ["network data web edge workers signals"]),
        (4, 4, ["network data web edge workers signals"]),
        (3, 4, ["network", "data", "web", "edge workers", "signals"]),
        (4, 5, ["network data", "web", "edge workers", "signals"]),
        (5, 4, ["signals", "workers", "edge", "web", "data", "network"]),
        (4, 3, ["signals", "edge", "web", "data", "network"]),
    ],
)
def test_stacks_go_one_by_one_where_there_is_something_to_ask(
    stages: dict[int, Assembly], before: int, after: int, expected: list[str]
) -> None:
    outlook = foresee(there(stages[before]), stages[after])
    found = [" ".join(stack.role for stack in group) for group in groups(outlook)]
    assert " ".join(found).split() == " ".join(expected).split()
    assert found == expected


def test_a_changed_stack_is_asked_about_before_it_is_changed(stages: dict[int, Assembly]) -> None:
    run, memory = Recorder(), Memory()
    deploy(foresee(there(stages[4]), stages[5]), memory, run, None)
    assert run.stacks == [
        ("deploy", "network data"),
        ("prepare", "web"),
        ("execute", "web"),
        ("deploy", "edge workers"),
        ("prepare", "signals"),
        ("execute", "signals"),
    ]
    assert all("--exclusively" in call for call in run.calls if "execute-change-set" not in call)
    assert all(call[call.index("--require-approval") + 1] == "never" for call in run.calls), "nobody is there to ask"


def test_going_down_an_emptied_stack_is_left_to_the_command_line(stages: dict[int, Assembly]) -> None:
    run = Recorder()
    deploy(foresee(there(stages[5]), stages[4]), Memory(), run, "the runbook has run, see its record")
    assert run.stacks[:3] == [("prepare", "signals"), ("execute", "signals"), ("deploy", "workers")]


def test_what_cloudformation_adds_stops_before_anything_of_that_stack_is_changed(stages: dict[int, Assembly]) -> None:
    run = Recorder()
    said = ChangeSet(False, (change("Sessions", "AWS::DynamoDB::Table", replacement="True"),))
    memory = Memory(said={"shop-web": said})
    with pytest.raises(Refused, match=r"shop-web: CloudFormation goes further .* Sessions"):
        deploy(foresee(there(stages[4]), stages[5]), memory, run, None)
    assert run.stacks == [("deploy", "network data"), ("prepare", "web")]
    assert memory.discarded == ["shop-web"]


def test_a_change_set_without_changes_is_thrown_away(stages: dict[int, Assembly]) -> None:
    run, memory = Recorder(), Memory(said={"shop-web": ChangeSet(True, ())})
    deploy(foresee(there(stages[4]), stages[5]), memory, run, None)
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
