"""What a deployment will do to a stack, told before it happens, in the terms of CloudFormation's change sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from workbench.facts.stateful import KEEPS_REMOVED, SNAPSHOT
from workbench.sandbox.kinds.kind import Kind
from workbench.sandbox.stacks import Deployed, Output, Stack, Stacks, Target
from workbench.sandbox.values import TemplateError, Values, in_order, needed_by, plain_text
from workbench.templates.references import Reference, Resource, references
from workbench.templates.replacement import Cause, Change, Impact, compare

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
# What an update in place makes another value of; all other attributes stay as they are.
_MOVING = ("DefaultVersionNumber", "LatestVersionNumber", "Value", "VersionId")
_STACK_TAGS = ("stack", "Tags")  # no path of a property
_RECREATION = {Impact.UPDATE: "Never", Impact.MAY_REPLACE: "Conditionally", Impact.REPLACE: "Always"}
_ACTIONS = {Impact.CREATE: "Add", Impact.KEEP: "Remove", Impact.SNAPSHOT: "Remove", Impact.DESTROY: "Remove"}


@dataclass(frozen=True)
class Plan:
    """What there is to do, as far as the values of what exists can tell."""

    changes: tuple[Change, ...]
    outputs: Mapping[str, Output]  # a reference as a value: it will be another one
    differs: bool


@dataclass(eq=False)
class ChangeSet:
    """A target that waits for somebody to say yes."""

    id: str
    name: str
    stack: Stack
    target: Target
    changes: tuple[Change, ...] = ()
    failure: str = ""
    description: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


def plan(stacks: Stacks, stack: Stack, target: Target, kinds: Mapping[str, Kind]) -> Plan:
    """What deploying the target does; a template that cannot work is refused here, before anything is changed."""
    changes: dict[str, Change] = {}

    active: dict[str, Mapping[str, Any]] = {}

    def known(reference: Reference) -> Any:
        if reference.id not in active:
            raise TemplateError(f"Template format error: Unresolved resource dependencies [{reference.id}]")
        change, there = changes.get(reference.id), stack.resources.get(reference.id)
        moves = change is not None and (change.impact is Impact.REPLACE or reference.attribute in _MOVING)
        return reference if there is None or moves else there.gives(reference)

    values = stacks.values(stack, target, known)
    values.check_rules()
    active |= values.active("Resources")
    unknown = sorted(f"{body['Type']} ({id_})" for id_, body in active.items() if body["Type"] not in kinds)
    if unknown:
        raise TemplateError(f"The local AWS does not know these types of resources: {', '.join(unknown)}")
    for id_ in needs(values):
        new = resource(stack, id_, active[id_], values)
        there = stack.resources.get(id_)
        change = Change(stack.name, id_, new.type, Impact.CREATE) if there is None else change_of(there, new, target)
        if change.causes or there is None:
            changes[id_] = change
    gone = {id_: there for id_, there in stack.resources.items() if id_ not in active}
    changes |= {id_: Change(stack.name, id_, there.wanted.type, _removal(there)) for id_, there in gone.items()}
    promised = outputs(values)
    differs = bool(changes) or promised != stack.outputs or stack.status == "UPDATE_FAILED"
    return Plan(tuple(changes.values()), promised, differs)


def needs(values: Values) -> dict[str, frozenset[str]]:
    """The resources in the order in which they are made, each with those that it needs."""
    active = values.active("Resources")
    needed = {id_: frozenset(needed_by(body) & active.keys()) for id_, body in active.items()}
    return {id_: needed[id_] for id_ in in_order(needed)}


def resource(stack: Stack, id_: str, body: Mapping[str, Any], values: Values) -> Resource:
    """The resource with values in place of functions; dynamic references stay as they are written."""
    return Resource(stack.name, id_, body["Type"], values.value(body.get("Properties") or {}), body)


def outputs(values: Values) -> dict[str, Output]:
    found = {}
    for name, body in values.active("Outputs").items():
        value = values.value(body["Value"])
        export = values.value((body.get("Export") or {}).get("Name", ""))
        text = value if any(references(value)) else plain_text(value)
        found[name] = Output(text, body.get("Description", ""), export)
    return found


def change_of(there: Deployed, new: Resource, target: Target) -> Change:
    """What makes a resource that exists another one; the tags of the stack are among it."""
    if there.wanted.type != new.type:
        raise TemplateError(
            "Update of resource type is not permitted. The new template modifies resource type of the following "
            f"resources: [{new.id}]"
        )
    change = compare(there.resource, new)
    before = {key: value for key, value in there.wanted.tags.items() if not key.startswith("aws:")}
    if before != target.tags:
        cause = Cause(_STACK_TAGS, before, dict(target.tags), Impact.UPDATE)
        change = replace(change, impact=max(change.impact, Impact.UPDATE), causes=(*change.causes, cause))
    return change


def _removal(there: Deployed) -> Impact:
    policy = there.policy_when_removed(never_complete=False)
    if policy == SNAPSHOT:
        return Impact.SNAPSHOT
    return Impact.KEEP if policy in KEEPS_REMOVED else Impact.DESTROY


def described(change: Change, stack: Stack, target: Target) -> dict[str, Any]:
    """A change as `DescribeChangeSet` tells it."""
    there = stack.resources.get(change.id)
    told: dict[str, Any] = {
        "Action": _ACTIONS.get(change.impact, "Modify"),
        "LogicalResourceId": change.id,
        "ResourceType": change.type,
        "PhysicalResourceId": there.made.id if there else None,
        "PolicyAction": _policy_action(change, target),
    }
    if told["Action"] == "Modify":
        told["Details"] = list(_details(change))
        told["Scope"] = sorted({detail["Target"]["Attribute"] for detail in told["Details"]})
        told["Replacement"] = "False"
        if change.impact in (Impact.REPLACE, Impact.MAY_REPLACE):
            certain = change.impact is Impact.REPLACE and not all(map(_depends, change.decisive))
            told["Replacement"] = "True" if certain else "Conditional"
    return told


def _policy_action(change: Change, target: Target) -> str | None:
    if change.impact is Impact.REPLACE:
        policy = target.template["Resources"][change.id].get("UpdateReplacePolicy", "Delete")
        return f"ReplaceAnd{policy}"
    return {Impact.KEEP: "Retain", Impact.SNAPSHOT: "Snapshot", Impact.DESTROY: "Delete"}.get(change.impact)


def _details(change: Change) -> Iterator[dict[str, Any]]:
    for cause in change.causes:
        target = {"Attribute": str(cause.path[-1]), "RequiresRecreation": "Never"}
        if cause.impact in _RECREATION and cause.path != _STACK_TAGS:
            steps = "/".join(str(step) for step in cause.path)
            target = {"Attribute": "Properties", "Name": str(cause.path[0]), "Path": f"/Properties/{steps}"}
            target["RequiresRecreation"] = _RECREATION[cause.impact]
        yield {
            "Target": target,
            "Evaluation": "Dynamic" if _depends(cause) else "Static",
            "ChangeSource": "ResourceReference" if _depends(cause) else "DirectModification",
            "CausingEntity": next((reference.id for _, reference in references(cause.after)), None),
        }


def _depends(cause: Cause) -> bool:
    """Whether the new value is only known when another resource has been made."""
    return any(references(cause.after))
