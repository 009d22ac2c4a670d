"""An account in memory: what a deployment reads, as a test says it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.deploy.live import ChangeSet, Deployed
from workbench.templates import Assembly, read_assembly

NOTHING = Assembly(())


@dataclass
class Memory:
    """`Live` without AWS. A stack's physical ids are its logical ones."""

    stacks: dict[str, Deployed] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)  # messages by the logical id of the queue
    said: dict[str, ChangeSet] = field(default_factory=dict)  # by stack
    discarded: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, assembly: Path, **parameters: str) -> Memory:
        """An account in which this assembly is deployed."""
        memory = cls(parameters={f"/{path}": value for path, value in parameters.items()})
        memory.deploy(read_assembly(assembly))
        return memory

    def deploy(self, assembly: Assembly) -> None:
        self.stacks |= {
            stack.name: Deployed(
                stack.name, "CREATE_COMPLETE", stack.template, {}, stack.termination_protection, stack.tags
            )
            for stack in assembly.stacks
            if stack.resources
        }

    def stack(self, name: str, region: str) -> Deployed | None:
        assert region
        return self.stacks.get(name)

    def parameter(self, name: str) -> str | None:
        return self.parameters.get(name)

    def physical_ids(self, stack: str, region: str) -> Mapping[str, str]:
        assert region
        return {logical: logical for logical in self.stacks[stack].template["Resources"]}

    def messages(self, queue: str) -> int:
        return self.waiting.get(queue, 0)

    def change_set(self, stack: str, region: str, name: str) -> ChangeSet:
        assert region
        assert name
        return self.said.get(stack, ChangeSet(empty=False, changes=()))

    def discard(self, stack: str, region: str, name: str) -> None:
        assert region
        assert name
        self.discarded.append(stack)


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


def change(
    logical_id: str, kind: str, action: str = "Modify", replacement: str = "False", **more: Any
) -> dict[str, Any]:
    """One change as CloudFormation describes it."""
    told = {"LogicalResourceId": logical_id, "ResourceType": kind, "Action": action, "Replacement": replacement}
    return told | more
