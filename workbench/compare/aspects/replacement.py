"""What is replaced, removed, interrupted or refused, and what is left of it: the questions before a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.compare.aspects.resources import sides
from workbench.compare.model import Facts, Finding, Kind, ResourceChange, Risk
from workbench.facts.interruptions import interruption
from workbench.facts.refinements import Changed
from workbench.facts.stateful import RETAIN, SNAPSHOT, SNAPSHOTS, STATEFUL
from workbench.templates import Cause, Impact, Key, Lock, LockKind, locks
from workbench.templates.reading import Resource, System

LAUNCH_TEMPLATE, FLEET = "AWS::EC2::LaunchTemplate", "AWS::AutoScaling::AutoScalingGroup"
RENEWING = ("AutoScalingInstanceRefresh", "AutoScalingReplacingUpdate", "AutoScalingRollingUpdate")
REMOVED = (Impact.KEEP, Impact.SNAPSHOT, Impact.DESTROY)

LOCKED = {
    LockKind.REMOVED: "{deploying} cannot be deployed: it gives up the export {output} while {stacks} still imports it",
    LockKind.CHANGED: "{deploying} cannot be deployed: its export {output} changes while {stacks} imports it",
    LockKind.MISSING: "{deploying} cannot be deployed: {output} is not there yet when it is read",
    LockKind.STALE: "{deploying} keeps an old value: {output} of {stacks} changes, and nothing deploys it again",
}


def compare(before: Facts, after: Facts, changes: Sequence[ResourceChange]) -> tuple[tuple[Lock, ...], list[Finding]]:
    """What each change puts at stake, and the shared values that stop a deployment."""
    names = {key: resource.name for side in (before, after) for key, resource in side.system.by_key.items()}
    found = list[Finding]()
    for change in changes:
        if change.impact in REMOVED:
            found += _removed(change)
        elif change.impact in (Impact.REPLACE, Impact.MAY_REPLACE):
            found += _replaced(change, before, after, names)
        elif change.impact is Impact.UPDATE:
            found += _interrupted(change, before.system, after.system, names)
    held, found_locks = _locked(before, after)
    return held, found + found_locks


# --- data and identities ---------------------------------------------------------------------------------------------


def _removed(change: ResourceChange) -> Iterator[Finding]:
    if not change.stateful:
        return
    if change.impact is Impact.DESTROY and STATEFUL[change.type].identity_only:
        text = f"{_called(change)} is no longer in the template: it is given up, and there is no way to get it back."
        yield Finding(Risk.NOTICE, Kind.REMOVE_STATEFUL, text, change.key)
        return
    fate = {
        Impact.KEEP: "it stays in the account, where no stack looks after it any more",
        Impact.SNAPSHOT: "it goes, and a last snapshot of it stays",
        Impact.DESTROY: "it is deleted, and nothing of it is kept",
    }[change.impact]
    risk = Risk.NOTICE if change.impact is Impact.KEEP else Risk.DANGER
    yield Finding(risk, Kind.REMOVE_STATEFUL, f"{_called(change)} is no longer in the template: {fate}.", change.key)


def _replaced(change: ResourceChange, before: Facts, after: Facts, names: Mapping[Key, str]) -> Iterator[Finding]:
    certain = change.impact is Impact.REPLACE
    if change.code_only and not change.stateful:
        return  # a type whose every version is another resource
    causes = [cause for cause in change.causes if cause.impact is change.impact]
    why = _because(causes[0], change.key, names) + (f", and {len(causes) - 1} more" if len(causes) > 1 else "")
    verb = "is replaced" if certain else "may be replaced"
    if change.stateful:
        fate = _left_behind(change, before, after)
        kind = Kind.REPLACE_STATEFUL if certain else Kind.MAY_REPLACE
        yield Finding(Risk.DANGER, kind, f"{_called(change)} {verb}: {why}; {fate}.", change.key)
    else:
        kind = Kind.REPLACE if certain else Kind.MAY_REPLACE
        yield Finding(Risk.NOTICE, kind, f"{change.name} ({change.type}) {verb}: {why}.", change.key)


def _left_behind(change: ResourceChange, before: Facts, after: Facts) -> str:
    """What a replacement leaves of the old resource. Without a policy CloudFormation deletes it."""
    old, new = before.system.resource(change.key), after.system.resource(change.key)
    if old is None or new is None:
        return "what is left of it is unknown"
    row = STATEFUL.get(old.type)
    takes = "another one takes its place" if row is not None and row.identity_only else "an empty one takes its place"
    # AWS does not say which side's policy counts, so only what both say is relied on.
    policies = [side.body.get("UpdateReplacePolicy") for side in (old, new)]
    if policies == [SNAPSHOT, SNAPSHOT] and old.type in SNAPSHOTS:
        return f"{takes}, and only a snapshot stays of the old one"
    if policies == [RETAIN, RETAIN]:
        return f"{takes}, and the old one stays in the account, where no stack looks after it any more"
    return f"{takes}, and the old one is deleted"


def _called(change: ResourceChange) -> str:
    return f"{change.name} ({change.stateful})"


def _because(cause: Cause, key: Key, names: Mapping[Key, str]) -> str:
    if cause.follows is not None:
        other = names.get(cause.follows, cause.follows[1])
        if cause.follows[0] != key[0]:
            other += f" of the stack {cause.follows[0]}"
        return f"{cause.property} refers to {other}, which is another one afterwards"
    if cause.path == ("Type",):
        return f"its type changes from {cause.before} to {cause.after}"
    before, after = sides(cause, names)
    if before == after:
        return f"{cause.property} changes"
    return f"{cause.property} changes from {before} to {after}"


# --- interruptions ---------------------------------------------------------------------------------------------------


def _interrupted(change: ResourceChange, before: System, after: System, names: Mapping[Key, str]) -> Iterator[Finding]:
    old, new = before.resource(change.key), after.resource(change.key)
    if old is None or new is None:
        return
    if change.type == LAUNCH_TEMPLATE:
        yield from _renewed(change, new, after)
    effects = dict[str, str]()
    for cause in change.causes:
        changed = Changed(cause.before, cause.after, _as_written(old), _as_written(new))
        row = interruption(change.type, str(cause.path[0]), changed)
        if row is not None and cause.follows is None:
            effects.setdefault(row.effect, f"{cause.property} {' -> '.join(sides(cause, names))}")
    for effect, difference in effects.items():
        yield Finding(Risk.NOTICE, Kind.INTERRUPT, f"{change.name} {effect} ({difference}).", change.key)


def _as_written(resource: Resource) -> dict[str, Any]:
    return {**resource.body, "Properties": resource.properties}


def _renewed(change: ResourceChange, template: Resource, after: System) -> Iterator[Finding]:
    """Hosts do not change with the template that they were started from; their group has to replace them."""
    for fleet in after.users(template, FLEET, "LaunchTemplate"):
        policy = fleet.body.get("UpdatePolicy")
        if isinstance(policy, Mapping) and any(name in policy for name in RENEWING):
            yield Finding(
                Risk.ROUTINE,
                Kind.INTERRUPT,
                f"The hosts of {fleet.name} are replaced by new ones ({change.name}: {change.summary}).",
                change.key,
            )
        else:
            yield Finding(
                Risk.NOTICE,
                Kind.INTERRUPT,
                f"The hosts of {fleet.name} stay as they are until somebody replaces them: "
                f"{change.name} changes, and the group has no update policy.",
                change.key,
            )


# --- values that stacks share ----------------------------------------------------------------------------------------


def _locked(before: Facts, after: Facts) -> tuple[tuple[Lock, ...], list[Finding]]:
    """What stops `cdk deploy --all`; stacks that are gone come last, since nobody deletes them before."""
    gone = [role for role in reversed(before.assembly.order) if after.assembly.stack(role) is None]
    order = [*after.assembly.order, *gone]
    held = tuple(locks(before.assembly, after.assembly, order))
    if held:  # what is missing already is not what this deployment does
        known = [(lock.kind, lock.deploying, lock.output) for lock in locks(before.assembly, before.assembly, order)]
        held = tuple(lock for lock in held if (lock.kind, lock.deploying, lock.output) not in known)
    stopping = [lock for lock in held if lock.kind is not LockKind.STALE]
    other_way = stopping and all(
        lock.kind is LockKind.STALE for lock in locks(before.assembly, after.assembly, order[::-1])
    )
    found = list[Finding]()
    for lock in held:
        stacks = " and ".join(lock.stacks) or "no other stack"
        text = LOCKED[lock.kind].format(deploying=lock.deploying, output=lock.output, stacks=stacks)
        risk = Risk.NOTICE if other_way or lock.kind is LockKind.STALE else Risk.DANGER
        way_out = "; deploying the last stack first works" if other_way and lock in stopping else ""
        found.append(Finding(risk, Kind.EXPORT_LOCK, f"{text}{way_out}."))
    return held, found
