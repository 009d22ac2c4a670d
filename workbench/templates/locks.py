"""What CloudFormation refuses, or forgets, when stacks that share values are deployed one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workbench.templates.assembly import Assembly, StackTemplate
from workbench.templates.references import Resolver, references, resources
from workbench.templates.replacement import Impact, predict_resources

Output = tuple[str, str]
"""(name of the stack, name of the output)."""


class LockKind(StrEnum):
    """What is wrong with a value that crosses stacks."""

    REMOVED = "removed while another stack imports it"
    CHANGED = "changed while another stack imports it"
    MISSING = "not there when the stack that reads it is deployed"
    STALE = "changed, and the stack that reads it is not deployed again, so it keeps the old value"


@dataclass(frozen=True)
class Lock:
    """One value that stops a deployment, or is wrong after it."""

    kind: LockKind
    deploying: str  # the stack whose deployment meets it
    output: str
    stacks: tuple[str, ...]  # who else is concerned
    before: Any = None
    after: Any = None


def locks(before: Assembly, after: Assembly, order: Sequence[str]) -> list[Lock]:
    """What goes wrong when `after` is deployed over `before` one stack at a time, by role, in this order."""
    replay = _Replay(before, after)
    found = [lock for role in order for lock in replay.deploy(role)]
    found += [lock for role in order for lock in replay.left_behind(role)]
    return found


def shared_values(assembly: Assembly) -> set[Output]:
    """Every output that another stack of the assembly reads, strongly or weakly."""
    resolver = Resolver(assembly)
    found: set[Output] = set()
    for stack in assembly.stacks:
        strong, weak = _reads(resolver, stack)
        owners = [resolver.exports[name] for name in strong if name in resolver.exports]
        found |= weak | {(owner.name, output) for owner, output in owners}
    return found


class _Replay:
    """The account while stacks are deployed: for each role, the template that is there."""

    def __init__(self, before: Assembly, after: Assembly) -> None:
        self._before, self._after = before, after
        self._resolvers = {id(side): Resolver(side) for side in (before, after)}
        self._there: dict[str, tuple[StackTemplate, Resolver]] = {
            stack.role: (stack, self._resolvers[id(before)]) for stack in before.stacks
        }
        old, new = resources(before), resources(after)
        self._replaced = {key for key, change in predict_resources(old, new).items() if change.impact is Impact.REPLACE}

    def deploy(self, role: str) -> Iterator[Lock]:
        """One step; what is refused is told, and the replay goes on as if it had worked."""
        old, new = self._before.stack(role), self._after.stack(role)
        if old is not None:
            others = [there for other, there in self._there.items() if other != role]
            yield from self._held_back(role, old, new, others)
        if new is None:
            self._there.pop(role, None)
            return
        resolver = self._resolvers[id(self._after)]
        yield from self._not_there_yet(role, new, resolver)
        self._there[role] = (new, resolver)

    def left_behind(self, role: str) -> Iterator[Lock]:
        """After all steps: weak values that changed although the templates of their readers did not."""
        old, new = self._before.stack(role), self._after.stack(role)
        if old is None or new is None or old.template != new.template:
            return
        for name, output in sorted(_reads(self._resolvers[id(self._after)], new)[1]):
            was, now = (_written(side, name, output) for side in (self._before, self._after))
            if was is not None and now is not None and (was[1] != now[1] or self._renewed(*now)):
                yield Lock(LockKind.STALE, role, f"{name}.{output}", (now[0].role,), was[1], now[1])

    def _held_back(
        self, role: str, old: StackTemplate, new: StackTemplate | None, others: list[tuple[StackTemplate, Resolver]]
    ) -> Iterator[Lock]:
        now = _exports(self._resolvers[id(self._before)], old)
        then = _exports(self._resolvers[id(self._after)], new) if new is not None else {}
        for name, value in now.items():
            users = tuple(other.role for other, resolver in others if name in _reads(resolver, other)[0])
            if not users:
                continue
            if name not in then:
                yield Lock(LockKind.REMOVED, role, name, users, value)
            elif then[name] != value or (new is not None and self._renewed(new, value)):
                yield Lock(LockKind.CHANGED, role, name, users, value, then[name])

    def _not_there_yet(self, role: str, new: StackTemplate, resolver: Resolver) -> Iterator[Lock]:
        others = [there for other, there in self._there.items() if other != role]
        exported = {name for other, its in others for name in _exports(its, other)}
        outputs = {(other.name, output) for other, _ in others for output in other.outputs}
        known = {stack.name for side in (self._before, self._after) for stack in side.stacks}
        strong, weak = _reads(resolver, new)
        # What nobody here ever exports comes from somewhere else, which no template of ours can tell about.
        ever = set().union(*(its.exports for its in self._resolvers.values()))
        for name in sorted((strong & ever) - exported):
            yield Lock(LockKind.MISSING, role, name, ())
        for name, output in sorted(weak - outputs):
            if name in known:
                yield Lock(LockKind.MISSING, role, f"{name}.{output}", ())

    def _renewed(self, stack: StackTemplate, value: Any) -> bool:
        """Whether a value of the same words is another one, because what it refers to is replaced."""
        resolved = self._resolvers[id(self._after)].resolve(stack, value)
        return any(reference.key in self._replaced for _, reference in references(resolved))


def _written(assembly: Assembly, name: str, output: str) -> tuple[StackTemplate, Any] | None:
    """The stack of this name and the value of one of its outputs, if it has it."""
    stack = next((stack for stack in assembly.stacks if stack.name == name), None)
    return (stack, stack.outputs[output].get("Value")) if stack is not None and output in stack.outputs else None


def _exports(resolver: Resolver, stack: StackTemplate) -> dict[str, Any]:
    """Name of an export -> its value as written."""
    named = ((resolver.export_name(stack, body), body.get("Value")) for body in stack.outputs.values())
    return {name: value for name, value in named if name is not None}


def _reads(resolver: Resolver, stack: StackTemplate) -> tuple[set[str], set[Output]]:
    """The exports that a stack imports, and the outputs that it reads weakly."""
    strong: set[str] = set()
    weak: set[Output] = set()
    if not stack.resources:
        return strong, weak
    for function, argument in stack.shared_values_read:
        name = resolver.resolve(stack, argument)
        if function == "Fn::ImportValue" and isinstance(name, str):
            strong.add(name)
        elif function == "Fn::GetStackOutput" and isinstance(name, Mapping):
            weak.add((str(name.get("StackName")), str(name.get("OutputName"))))
    return strong, weak
