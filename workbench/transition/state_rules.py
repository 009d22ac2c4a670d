"""The rules about what must not be lost: identity, replacement, policies, protection, keys."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.facts.stateful import DELETE, KEEPS_REMOVED, KEEPS_REPLACED, SNAPSHOT, SNAPSHOTS, STATEFUL
from workbench.templates import Impact, Resource
from workbench.transition.rule import (
    Direction,
    Move,
    Rule,
    Verdict,
    holds_data,
    is_protected,
    is_stateful,
    replica,
    rule,
    seen,
)

KEY = "AWS::KMS::Key"


@rule(
    "EV01",
    "Going up, what is stateful stays: same stack, same logical id, same type",
    why="Another logical id is another, empty resource, and the old one is gone or forgotten.",
    fix="Keep the construct's id and its place in the tree, or add a row with its runbook to the allowances",
    directions=frozenset({Direction.UP}),
)
def persists(move: Move) -> Iterator[Verdict]:
    homes = {key[1]: key[0] for key in move.new}
    for old in filter(is_stateful, move.old.values()):
        new = move.new.get(old.key)
        if new is None and homes.get(old.id):
            yield seen(old, "moves to another stack", property="stack", before=old.stack, after=homes[old.id])
        elif new is None:
            yield seen(old, "is no longer there")
        elif new.type != old.type:
            yield seen(old, "becomes another type", property="Type", before=old.type, after=new.type)
        else:
            yield seen(old)


@rule(
    "EV02",
    "What both stages have keeps its create-only properties",
    why="CloudFormation answers such a change with a new, empty resource.",
    fix="Give the property its final value from the first stage on; for a conditional one, a row in the refinements",
)
def create_only(move: Move) -> Iterator[Verdict]:
    for old, _ in move.shared:
        if not is_stateful(old):
            continue
        yield seen(old)
        change = move.changes.get(old.key)
        for cause in change.causes if change else ():
            # What only follows from another resource is the next rule's.
            if cause.impact >= Impact.MAY_REPLACE and cause.follows is None:
                yield seen(old, _told(cause.impact), property=cause.property, before=cause.before, after=cause.after)


def _told(impact: Impact) -> str:
    return "has to be replaced" if impact is Impact.REPLACE else "may have to be replaced"


@rule(
    "EV03",
    "Nothing stateful is replaced or destroyed",
    why="Also when it only refers to something that is replaced, the data is lost with the old resource.",
    fix="Undo the change that starts the chain, or plan it as a move of its own with a runbook",
)
def survives(move: Move) -> Iterator[Verdict]:
    for old in filter(is_stateful, move.old.values()):
        change = move.changes.get(old.key)
        if change is None:
            yield seen(old)
        elif change.impact in (Impact.REPLACE, Impact.MAY_REPLACE):
            cause = change.decisive[0]
            yield seen(
                old,
                f"{_told(change.impact)}; {cause.why}".rstrip("; "),
                property=cause.property,
                before=cause.before,
                after=cause.after,
            )
        # In a sandbox, what a template no longer has may go: rules 4, 5 and 8 are relaxed there, and so is this.
        elif change.impact is Impact.DESTROY and holds_data(old) and move.protected:
            yield seen(old, f"is destroyed with the {STATEFUL[old.type].holds} in it", property="DeletionPolicy")
        else:
            yield seen(old)


@rule(
    "EV04",
    "What is stateful says how it is kept; a read replica is not kept",
    why="Without a policy, a wrong template deletes data. A replica that is kept or protected stops the way down.",
    fix="DeletionPolicy and UpdateReplacePolicy Retain or Snapshot; on a replica Delete, and no protection",
)
def kept(move: Move) -> Iterator[Verdict]:
    for new in move.new.values():
        if replica(new):
            yield from _replica(new)
        elif holds_data(new):
            yield from _policies(new, move.protected)


def _replica(new: Resource) -> Iterator[Verdict]:
    removed = new.deletion_policy
    wrong = "is a replica and would be kept" if removed != DELETE else ""
    yield seen(new, wrong, property="DeletionPolicy", before=removed, after=DELETE)
    if is_protected(new):
        yield seen(new, "is a replica and is protected", property="DeletionProtection", before=True, after=False)


def _policies(new: Resource, protected: bool) -> Iterator[Verdict]:
    yield seen(new)
    removed, replaced = new.deletion_policy, new.update_replace_policy
    # A sandbox is made to leave nothing behind, but a replacement must not lose anything there either.
    if protected and removed not in KEEPS_REMOVED:
        yield seen(new, "is lost when its template no longer has it", property="DeletionPolicy", before=removed)
    if replaced not in KEEPS_REPLACED:
        yield seen(new, "is lost when it is replaced", property="UpdateReplacePolicy", before=replaced)
    if SNAPSHOT in (removed, replaced) and new.type not in SNAPSHOTS:
        yield seen(new, "cannot be snapshotted by CloudFormation", property="DeletionPolicy", before=removed)


@rule(
    "EV05",
    "Going down, what is removed is kept, and its name does not stand in the way of coming back",
    why="The way up would find the name taken, and the way down would have lost the data.",
    fix="A policy that keeps it, and no physical name",
    directions=frozenset({Direction.DOWN}),
    only_protected=True,
    expected=lambda move: any(holds_data(old) for old in move.removed),
)
def leaves_well(move: Move) -> Iterator[Verdict]:
    for old in filter(holds_data, move.removed):
        yield seen(old)
        if move.impact(old) is Impact.DESTROY:
            yield seen(old, "is deleted", property="DeletionPolicy", before=old.deletion_policy)
        name = STATEFUL[old.type].name
        if name is not None and name in old.properties:
            yield seen(old, "has a fixed name", property=name, before=old.properties[name])


@rule(
    "EV08",
    "Protection is not taken off in the step that removes something",
    why="A mistake in that step then meets nothing that stops it. And what is protected stops the step half-way.",
    fix="Switch protection off in a step of its own, once the runbook's proof is there, or keep the resource",
    only_protected=True,
)
def stays_protected(move: Move) -> Iterator[Verdict]:
    for old, new in move.shared:
        name = STATEFUL[old.type].protection if is_stateful(old) else None
        if name is not None:
            lost = is_protected(old) and not is_protected(new)
            yield seen(
                old,
                "loses its protection" if lost else "",
                property=name,
                before=old.properties.get(name),
                after=new.properties.get(name),
            )
    for old in filter(is_stateful, move.removed):
        if is_protected(old):
            stops = move.impact(old) is not Impact.KEEP
            yield seen(old, "is protected, so it cannot be removed" if stops else "", before=True)
    for stack in move.before.stacks:
        there = move.after.stack(stack.role)
        if stack.resources and (there is None or not there.resources):
            stops = stack.termination_protection
            problem = "is empty now, and its termination protection stops the CDK from deleting it" if stops else ""
            yield Verdict(stack.role, "", "AWS::CloudFormation::Stack", problem, "terminationProtection")


@rule(
    "EV10",
    "Encryption keys are never removed or replaced",
    why="What a key encrypted cannot be read without it, and a volume or database cannot change its key.",
    fix="One key, in the oldest stack, from stage 1 on",
)
def keys_stay(move: Move) -> Iterator[Verdict]:
    for old in move.old.values():
        if old.type == KEY:
            gone = old.key not in move.new
            replaced = move.impact(old) in (Impact.REPLACE, Impact.MAY_REPLACE)
            yield seen(old, "is removed" if gone else "is replaced" if replaced else "")


RULES: tuple[Rule, ...] = (persists, create_only, survives, kept, leaves_well, stays_protected, keys_stay)
