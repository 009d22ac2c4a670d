"""Which resources come, change and go, told as people call them, with the difference that says most."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.compare.model import Facts, ResourceChange
from workbench.facts.stateful import STATEFUL, is_replica
from workbench.templates import Cause, Change, Impact, Key, Reference, StackTemplate, predict
from workbench.templates.reading import System, spelled

# What tells most about a resource, the most telling first.
TELLING = (
    "InstanceType", "DBInstanceClass", "CacheNodeType", "EngineVersion", "Engine", "MultiAZ", "MinSize", "MaxSize",
    "NumNodeGroups", "ReplicasPerNodeGroup", "AllocatedStorage", "Size", "MemorySize", "Runtime", "Timeout",
    "CidrBlock", "CidrIp", "DNSName", "Value",
)  # fmt: skip
SAYING_WHAT_THEY_ARE = frozenset({"CacheNodeType", "DBInstanceClass", "InstanceType", "Runtime"})
LONGEST = 40
HIDDEN = "..."
_SECRET = re.compile(r"password|secret|token|credential|api_?key", re.IGNORECASE)
FUNCTION, VERSION = "AWS::Lambda::Function", "AWS::Lambda::Version"
_HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")  # the name that CDK gives to a packaged file


def compare(before: Facts, after: Facts) -> tuple[ResourceChange, ...]:
    """Every resource that a deployment does not leave alone, in the order of deployment."""
    changes = _next_versions(predict(before.assembly, after.assembly), before.system, after.system)
    code_only = _code_only(changes)
    old, new = ({stack.role: stack for stack in side.assembly.stacks} for side in (before, after))
    order = {role: number for number, role in enumerate([*new, *(role for role in old if role not in new)])}
    names = {key: resource.name for side in (before, after) for key, resource in side.system.by_key.items()}
    made = [_told(change, old, new, names, key in code_only) for key, change in changes.items()]
    return tuple(sorted(made, key=lambda change: (order[change.key[0]], change.name, change.key)))


def _next_versions(changes: Mapping[Key, Change], before: System, after: System) -> dict[Key, Change]:
    """CDK names a function's version by a hash: one that comes as another goes is that version, changed."""
    went = {_function_of(before, key): key for key, change in changes.items() if change.type == VERSION}
    found = dict(changes)
    for key, change in changes.items():
        function = _function_of(after, key) if change.type == VERSION and change.impact is Impact.CREATE else None
        old = went.get(function) if function else None
        if function and old and old not in after.by_key:
            cause = Cause(("FunctionName",), old[1], key[1], Impact.UPDATE, "named by what is in it", follows=function)
            found[key] = Change(change.stack, change.id, VERSION, Impact.UPDATE, (cause,))
            del found[old]
            del went[function]
    return found


def _function_of(system: System, version: Key) -> Key | None:
    resource = system.resource(version)
    function = system.target(resource.get("FunctionName"), FUNCTION) if resource else None
    return (function.stack.role, function.id) if function else None


def is_secret(cause: Cause) -> bool:
    """Whether a value may be one that nobody should read in a report."""
    return bool(_SECRET.search(cause.property))


def sides(cause: Cause, names: Mapping[Key, str]) -> tuple[str, str]:
    """Both values of a difference in a few words; what looks like a secret is not repeated."""
    if is_secret(cause):
        return HIDDEN, HIDDEN
    return shown(cause.before, names), shown(cause.after, names)


def shown(value: Any, names: Mapping[Key, str]) -> str:
    """A value in a few words, as far as it can be read in a template, with resources by their names."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case Reference():
            return " ".join(part for part in (names.get(value.key, value.id), value.attribute) if part)
        case str() | int() | float():
            return _short(str(value))
        case list() if value and all(isinstance(item, str | int | float) for item in value):
            return _short(", ".join(str(item) for item in value))
    read = spelled(value)
    return "..." if read == "<?>" else _short(read)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _told(
    change: Change,
    old: Mapping[str, StackTemplate],
    new: Mapping[str, StackTemplate],
    names: Mapping[Key, str],
    code_only: bool,
) -> ResourceChange:
    gone = change.impact in (Impact.KEEP, Impact.SNAPSHOT, Impact.DESTROY)
    stack = (old if gone else new)[change.stack]
    body = stack.resources[change.id]
    # A replaced one is judged as it is now: that is what would be lost.
    there = old[change.stack].resources.get(change.id) if change.stack in old else None
    name = stack.name_of(change.id)
    return ResourceChange(
        key=(change.stack, change.id),
        type=change.type,
        name=name,
        block=_block(name, change.type),
        impact=change.impact,
        causes=change.causes,
        summary=_summary(change, body, names, code_only),
        stateful=_holds(there or body),
        code_only=code_only,
    )


def _block(name: str, resource_type: str) -> str:
    """The outermost construct, or the service where there are no constructs."""
    if "/" in name:
        return name.partition("/")[0]
    parts = resource_type.split("::")
    return parts[1] if len(parts) > 2 else parts[0]


def _holds(body: Mapping[str, Any]) -> str:
    row = STATEFUL.get(body["Type"])
    return "" if row is None or is_replica(row.type, body.get("Properties") or {}) else row.holds


def _summary(change: Change, body: Mapping[str, Any], names: Mapping[Key, str], code_only: bool) -> str:
    if code_only:
        return "another version of its code"
    if not change.causes:
        properties = body.get("Properties") or {}
        said = [name for name in TELLING if isinstance(properties.get(name), str | int)]
        if not said:
            return ""
        value = shown(properties[said[0]], names)
        return value if said[0] in SAYING_WHAT_THEY_ARE else f"{said[0]} {value}"
    cause = min(change.causes, key=lambda cause: _telling(change, cause))
    more = len(change.causes) - 1
    return _difference(cause, names) + (f", and {more} more" if more else "")


def _telling(change: Change, cause: Cause) -> tuple[object, ...]:
    last = _last_name(cause)
    rank = TELLING.index(last) if last in TELLING else len(TELLING)
    plain = all(isinstance(value, str | int | float | bool | None) for value in (cause.before, cause.after))
    return cause.impact < change.impact, cause.follows is not None, rank, not plain, cause.property


def _difference(cause: Cause, names: Mapping[Key, str]) -> str:
    if cause.follows is not None:
        return f"{_last_name(cause)} follows {names.get(cause.follows, cause.follows[1])}"
    before, after = sides(cause, names)
    if before == after:
        return _last_name(cause)
    if _last_name(cause) in SAYING_WHAT_THEY_ARE and None not in (cause.before, cause.after):
        return f"{before} -> {after}"
    return f"{_last_name(cause)} {before} -> {after}"


def _last_name(cause: Cause) -> str:
    return next((step for step in reversed(cause.path) if isinstance(step, str)), "")


def _code_only(changes: Mapping[Key, Change]) -> set[Key]:
    """What changes in nothing but the hashes of packaged files, or follows something of which that is true."""
    found = {
        key
        for key, change in changes.items()
        if change.causes and all(cause.follows or _same_but_for_hashes(cause) for cause in change.causes)
    }
    while True:
        rest = {
            key
            for key in found
            if all(cause.follows is None or cause.follows in found for cause in changes[key].causes)
        }
        if rest == found:
            return found
        found = rest


def _same_but_for_hashes(cause: Cause) -> bool:
    before, after = _without_hashes(cause.before), _without_hashes(cause.after)
    return cause.before is not None and bool(before == after)


def _without_hashes(value: Any) -> Any:
    if isinstance(value, str):
        return _HASH.sub("", value)
    if isinstance(value, Mapping):
        return {key: _without_hashes(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_without_hashes(item) for item in value]
    return value
