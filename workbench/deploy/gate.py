"""The change gate: what a deployment would take away or replace that others rely on, and what stops it half-way."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from workbench.check.exceptions import SHORTEST_REASON
from workbench.compare import Comparison, Kind, Risk
from workbench.deploy import Refused
from workbench.deploy.live import ChangeSet
from workbench.facts.stateful import KEEPS_REMOVED, STATEFUL, removal_policy
from workbench.templates import Assembly, Change, Impact, Key, Lock, StackTemplate, locks, resources
from workbench.templates.replacement import predict_resources
from workbench.transition.rule import is_protected, is_stateful, replica

LOSING = frozenset({Impact.KEEP, Impact.MAY_REPLACE, Impact.SNAPSHOT, Impact.REPLACE, Impact.DESTROY})
TOLD_APART = frozenset({Kind.REPLACE_STATEFUL, Kind.REMOVE_STATEFUL, Kind.EXPORT_LOCK})
LONGEST_REASON = 500
MOST_NAMES = 5  # in one sentence
SAY_WHY = "look at it, then say why with --reason"


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


def keepers(there: Assembly) -> Iterator[str]:
    """Every sign that what is deployed is meant to stay, whatever a file says now; a sandbox shows none."""
    yield from (f"{stack.name} is protected against deletion" for stack in there.stacks if stack.termination_protection)
    for resource in resources(there).values():
        removal = removal_policy(resource.type, resource.properties, resource.deletion_policy)
        guards = ["deletion protection"] * is_protected(resource) + ["DeletionPolicy"] * (removal in KEEPS_REMOVED)
        if guards:
            yield f"{resource.stack}.{resource.id} has {', '.join(guards)}"


def lock_problems(outlook: Outlook) -> Iterator[str]:
    """Shared values in the way: CloudFormation refuses them half-way, so no reason helps."""
    for lock in outlook.locks:
        told = " ".join([f"{lock.output} is {lock.kind.value}", *lock.stacks])
        yield f"{lock.deploying}: {told}; keep the value for one more deployment"


def loss_problems(outlook: Outlook, reason: str | None) -> Iterator[str]:
    """What others rely on goes or is replaced only when somebody has written down why."""
    losses = [f"{loss.stack}.{loss.id}" for loss in outlook.losses]
    if losses and not reason:
        told = ", ".join(losses[:MOST_NAMES]) + (", ..." if len(losses) > MOST_NAMES else "")
        yield f"what others rely on leaves its template or is replaced, the {len(losses)} above: {told}; {SAY_WHY}"


def risks(comparison: Comparison) -> list[str]:
    """What else a reviewer would stop at: the highest risk, and whatever is protected less; losses are told apart."""
    return [
        finding.text
        for finding in comparison.findings
        if finding.kind not in TOLD_APART
        and (finding.risk is Risk.DANGER or (finding.kind is Kind.PROTECTION and finding.risk is Risk.NOTICE))
    ]


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
    return any(cause.why and cause.follows is None for cause in change.causes)


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
