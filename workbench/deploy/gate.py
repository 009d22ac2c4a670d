"""The change gate: what a deployment would take away or replace that others rely on, and what stops it half-way."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from workbench.check.exceptions import SHORTEST_REASON
from workbench.deploy import Refused
from workbench.deploy.live import ChangeSet
from workbench.facts.stateful import KEEPS_REMOVED, KEEPS_REPLACED, STATEFUL, removal_policy
from workbench.templates import Assembly, Change, Impact, Key, Lock, Resource, StackTemplate, locks, resources
from workbench.templates.replacement import predict_resources
from workbench.transition.rule import is_protected, is_stateful, replica

LOSING = frozenset({Impact.KEEP, Impact.MAY_REPLACE, Impact.SNAPSHOT, Impact.REPLACE, Impact.DESTROY})
LONGEST_REASON = 500
UPDATE_REPLACE_POLICY = "UpdateReplacePolicy"


@dataclass(frozen=True, eq=False)
class Outlook:
    """What deploying one assembly over another does, foreseen from the templates of both."""

    before: Assembly
    after: Assembly
    changes: Mapping[Key, Change]
    order: tuple[str, ...]  # roles of stacks
    down: bool
    locks: tuple[Lock, ...]

    @property
    def losses(self) -> Iterator[Change]:
        """Everything stateful that leaves its template or may become another one."""
        old = resources(self.before)
        return (
            change
            for key, change in self.changes.items()
            if change.impact in LOSING and key in old and is_stateful(old[key])
        )

    @property
    def unguarded(self) -> Iterator[str]:
        """Every stack and everything stateful that would lose what keeps it from being deleted."""
        for stack in self.before.stacks:
            later = self.after.stack(stack.role)
            if stack.termination_protection and not (later and later.termination_protection):
                yield f"{stack.role} (termination protection)"
        old, new = resources(self.before), resources(self.after)
        for key, resource in old.items():
            if key in new and is_stateful(resource) and (lost := _guards(resource) - _guards(new[key])):
                yield f"{resource.stack}.{resource.id} ({', '.join(sorted(lost))})"

    def touches(self, role: str) -> bool:
        return any(change.stack == role for change in self.changes.values())


def foresee(before: Assembly, after: Assembly) -> Outlook:
    """The outlook in the order of the direction: down when more goes than comes, consumers before owners."""
    old, new = resources(before), resources(after)
    changes = predict_resources(old, new)
    down = len(old.keys() - new.keys()) > len(new.keys() - old.keys())
    order = after.order[::-1] if down else after.order
    return Outlook(before, after, changes, order, down, tuple(locks(before, after, order)))


def _guards(resource: Resource) -> set[str]:
    """What keeps it, or what it holds, from being deleted."""
    removal = removal_policy(resource.type, resource.properties, resource.deletion_policy)
    guards = {
        "deletion protection": is_protected(resource),
        "DeletionPolicy": removal in KEEPS_REMOVED,
        UPDATE_REPLACE_POLICY: resource.update_replace_policy in KEEPS_REPLACED,
    }
    return {name for name, on in guards.items() if on}


def keepers(there: Assembly) -> Iterator[str]:
    """Every sign that what is deployed is meant to stay, whatever a file says now; a sandbox shows none."""
    yield from (f"{stack.name} is protected against deletion" for stack in there.stacks if stack.termination_protection)
    for resource in resources(there).values():
        if guards := _guards(resource) - {UPDATE_REPLACE_POLICY}:  # which is about mistakes, not about the end
            yield f"{resource.stack}.{resource.id} has {', '.join(sorted(guards))}"


def lock_problems(outlook: Outlook) -> Iterator[str]:
    """Shared values in the way: CloudFormation refuses them half-way, so no reason helps."""
    for lock in outlook.locks:
        told = " ".join([f"{lock.output} is {lock.kind.value}", *lock.stacks])
        yield f"{lock.deploying}: {told}; keep the value for one more deployment"


def loss_problems(outlook: Outlook, reason: str | None) -> Iterator[str]:
    """What others rely on goes, is replaced or loses its protection only when somebody has written down why."""
    losses = [f"{loss.stack}.{loss.id} ({loss.impact.name.lower()})" for loss in outlook.losses]
    for what, told in (
        ("what others rely on leaves its template or is replaced", losses),
        ("protection goes", [*outlook.unguarded]),
    ):
        if told and not reason:
            yield f"{what}: {', '.join(told)}; look at it, then say why with --reason"


def refuse_unforeseen(stack: StackTemplate, said: ChangeSet, outlook: Outlook, reason: str | None) -> None:
    """CloudFormation's word on one stack wins over what was foreseen; only a reason that names a thing lets it go."""
    known = {loss.id for loss in outlook.losses if loss.stack == stack.role}
    known |= {key[1] for key, old in resources(outlook.before).items() if key[0] == stack.role and replica(old)}
    known |= set(re.findall(r"\w+", reason or ""))
    in_place = {change.id for change in outlook.changes.values() if change.stack == stack.role and _in_place(change)}
    told = {
        name: f"{name} ({change['ResourceType']}) {what}"
        for change in said.changes
        if change["ResourceType"] in STATEFUL
        and (name := change["LogicalResourceId"]) not in known
        and (what := _losing(change, in_place))
    }
    if told:
        raise Refused(
            f"{stack.name}: CloudFormation goes further than was foreseen: {', '.join(told.values())}. "
            f"Nothing in this stack was changed; look at it, then say why with a --reason that names {', '.join(told)}"
        )


def _in_place(change: Change) -> bool:
    """Whether AWS documents that this very change, which may replace in general, does not."""
    return change.impact is Impact.UPDATE and any(cause.why for cause in change.causes)


def _losing(change: Mapping[str, object], in_place: Collection[str]) -> str:
    if change.get("Action") == "Remove":
        return "is removed"
    if change.get("Replacement") == "True" or str(change.get("PolicyAction", "")).startswith("Replace"):
        return "is replaced"
    may = change.get("Replacement") == "Conditional" and change["LogicalResourceId"] not in in_place
    return "may be replaced" if may else ""


def good_reason(text: str | None) -> str | None:
    """The reason as given; one that says nothing is refused."""
    reason = " ".join((text or "").split())
    if text is not None and not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise Refused(
            f"--reason: {len(reason)} characters; write what a reviewer would accept, {SHORTEST_REASON} to "
            f"{LONGEST_REASON} of them"
        )
    return reason or None
