"""The change gate: what a deployment would take away or replace that others rely on, and what stops it half-way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workbench.check.exceptions import SHORTEST_REASON
from workbench.deploy import Refused
from workbench.deploy.live import ChangeSet
from workbench.facts.stateful import STATEFUL
from workbench.templates import Assembly, Change, Impact, Key, Lock, StackTemplate, locks, resources
from workbench.templates.replacement import predict_resources
from workbench.transition.rule import is_stateful, replica

LOSING = frozenset({Impact.KEEP, Impact.MAY_REPLACE, Impact.SNAPSHOT, Impact.REPLACE, Impact.DESTROY})
LONGEST_REASON = 500


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

    def touches(self, role: str) -> bool:
        return any(change.stack == role for change in self.changes.values())


def foresee(before: Assembly, after: Assembly) -> Outlook:
    """The outlook in the order of the direction: down when more goes than comes, consumers before owners."""
    old, new = resources(before), resources(after)
    changes = predict_resources(old, new)
    down = len(old.keys() - new.keys()) > len(new.keys() - old.keys())
    order = after.order[::-1] if down else after.order
    return Outlook(before, after, changes, order, down, tuple(locks(before, after, order)))


def lock_problems(outlook: Outlook) -> Iterator[str]:
    """Shared values in the way: CloudFormation refuses them half-way, so no reason helps."""
    for lock in outlook.locks:
        told = " ".join([f"{lock.output} is {lock.kind.value}", *lock.stacks])
        yield f"{lock.deploying}: {told}; keep the value for one more deployment"


def loss_problems(outlook: Outlook, reason: str | None) -> Iterator[str]:
    """What others rely on goes or is replaced only when somebody has written down why."""
    told = ", ".join(f"{loss.stack}.{loss.id} ({loss.impact.name.lower()})" for loss in outlook.losses)
    if told and not reason:
        yield f"what others rely on leaves its template or is replaced: {told}; look at it, then say why with --reason"


def refuse_unforeseen(stack: StackTemplate, said: ChangeSet, outlook: Outlook, reason: str | None) -> None:
    """CloudFormation's own word on one stack; it wins over what was foreseen."""
    known = {loss.id for loss in outlook.losses if loss.stack == stack.role}
    known |= {key[1] for key, old in resources(outlook.before).items() if key[0] == stack.role and replica(old)}
    told = [
        f"{change['LogicalResourceId']} ({change['ResourceType']}) is {what}"
        for change in said.changes
        if change["ResourceType"] in STATEFUL and change["LogicalResourceId"] not in known and (what := _losing(change))
    ]
    if told and not reason:
        raise Refused(
            f"{stack.name}: CloudFormation goes further than was foreseen: {', '.join(told)}. "
            "Nothing of this stack was changed; look at it, then say why with --reason"
        )


def _losing(change: Mapping[str, object]) -> str:
    if change.get("Action") == "Remove":
        return "removed"
    replaced = change.get("Replacement") == "True" or str(change.get("PolicyAction", "")).startswith("Replace")
    return "replaced" if replaced else ""


def good_reason(text: str | None) -> str | None:
    """The reason as given; one that says nothing is refused."""
    reason = " ".join((text or "").split())
    if text is not None and not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise Refused(
            f"--reason: {len(reason)} characters; write what a reviewer would accept, {SHORTEST_REASON} to "
            f"{LONGEST_REASON} of them"
        )
    return reason or None
