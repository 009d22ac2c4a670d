"""What a deployment does to each resource, foreseen from the templates of both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from workbench.facts.refinements import REFINEMENTS, Changed
from workbench.facts.specification import replacement
from workbench.facts.stateful import KEEPS_REMOVED, SNAPSHOT, removal_policy
from workbench.templates.assembly import Assembly
from workbench.templates.references import Key, Reference, Resource, is_function, references, resources

Path = tuple[str | int, ...]


class Impact(IntEnum):
    """What happens to a resource, the harmless first."""

    NONE = 0
    CREATE = 1
    UPDATE = 2
    KEEP = 3  # leaves the template and stays in the account
    MAY_REPLACE = 4
    SNAPSHOT = 5  # leaves the template, and only a snapshot of it stays
    REPLACE = 6
    DESTROY = 7


# Of one resource, only these follow from its properties.
_BY_FLAG = {
    "no": Impact.UPDATE,
    "maybe": Impact.MAY_REPLACE,
    "yes": Impact.REPLACE,
    "unknown": Impact.MAY_REPLACE,  # a custom resource's own code decides, and so may a property we have not heard of
}
# What stands beside the properties: a change of it is told, but does not touch what is running.
_ATTRIBUTES = ("DeletionPolicy", "UpdateReplacePolicy", "UpdatePolicy", "CreationPolicy", "Condition")


@dataclass(frozen=True)
class Cause:
    """One difference, and what it does."""

    path: Path
    before: Any
    after: Any
    impact: Impact
    why: str = ""
    follows: Key | None = None  # the resource whose replacement alone makes this value another one

    @property
    def property(self) -> str:
        return ".".join(str(step) for step in self.path)


@dataclass(frozen=True)
class Change:
    """What happens to one resource, and everything that makes it happen."""

    stack: str
    id: str
    type: str
    impact: Impact
    causes: tuple[Cause, ...] = ()

    @property
    def decisive(self) -> tuple[Cause, ...]:
        """The causes without which the impact would be smaller."""
        return tuple(cause for cause in self.causes if cause.impact == self.impact)


def impact(resource_type: str, path: Path) -> Impact:
    """What changing the property at `path` does to a resource, whatever the values are."""
    names = tuple(step for step in path if isinstance(step, str))
    return _BY_FLAG[replacement(resource_type, names)] if names else Impact.NONE


def predict(before: Assembly, after: Assembly) -> dict[Key, Change]:
    """What a deployment of `after` over `before` does to each resource that it does not leave alone."""
    return predict_resources(resources(before), resources(after))


def predict_resources(old: Mapping[Key, Resource], new: Mapping[Key, Resource]) -> dict[Key, Change]:
    """The same for resources that have been read already."""
    changes = {key: _whole(resource, Impact.CREATE) for key, resource in new.items() if key not in old}
    changes |= {key: _whole(resource, _removal(resource)) for key, resource in old.items() if key not in new}
    for key in old.keys() & new.keys():
        change = compare(old[key], new[key])
        if change.causes:
            changes[key] = change
    _propagate(changes, old, new)
    return {key: changes[key] for key in sorted(changes)}


def differences(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Where two values differ, as deep as their structure is the same; None stands for what is not there."""
    if _plain(before) and _plain(after):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, (*path, number))
    elif not _same(before, after):
        yield path, before, after


def _plain(value: Any) -> bool:
    return isinstance(value, Mapping) and not is_function(value)


def _same(before: Any, after: Any) -> bool:
    """Equal for CloudFormation, to which 5432 and "5432" are one, as are true and "true"."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    one, other = _scalar(before), _scalar(after)
    return bool(before == after) if one is None or other is None else one == other


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def _whole(resource: Resource, what: Impact) -> Change:
    return Change(resource.stack, resource.id, resource.type, what)


def _removal(resource: Resource) -> Impact:
    policy = removal_policy(resource.type, resource.properties, resource.deletion_policy)
    if policy == SNAPSHOT:
        return Impact.SNAPSHOT
    return Impact.KEEP if policy in KEEPS_REMOVED else Impact.DESTROY


def compare(old: Resource, new: Resource) -> Change:
    """What makes one resource another one, without what follows from the resources that it refers to."""
    if old.type != new.type:
        cause = Cause(("Type",), old.type, new.type, Impact.REPLACE, "another type takes over the logical id")
        return Change(new.stack, new.id, new.type, Impact.REPLACE, (cause,))
    causes = [
        _cause(old, new, path, before, after)
        for name in sorted({*old.properties, *new.properties})
        for path, before, after in differences(old.properties.get(name), new.properties.get(name), (name,))
    ]
    causes += [
        Cause((name,), old.body.get(name), new.body.get(name), Impact.NONE)
        for name in _ATTRIBUTES
        if not _same(old.body.get(name), new.body.get(name))
    ]
    worst = max((cause.impact for cause in causes), default=Impact.NONE)
    return Change(new.stack, new.id, new.type, worst, tuple(causes))


def _cause(old: Resource, new: Resource, path: Path, before: Any, after: Any) -> Cause:
    below = [step for value in (before, after) for step in _paths(value)]
    found = max(impact(new.type, (*path, *step)) for step in ((), *below))
    return _refined(Cause(path, before, after, found), old, new)


def _paths(value: Any) -> Iterator[Path]:
    """The paths to what is inside a value that comes or goes as a whole."""
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)
    elif _plain(value):
        for key, item in value.items():
            yield (key,)
            yield from ((key, *rest) for rest in _paths(item))


def _refined(cause: Cause, old: Resource, new: Resource) -> Cause:
    """The cause as AWS documents it for this very change, where the specification only says that it may replace."""
    row = REFINEMENTS.get((new.type, str(cause.path[0])))
    if cause.impact is Impact.MAY_REPLACE and row is not None:
        both = ({**side.body, "Properties": side.properties} for side in (old, new))
        if row.when(Changed(cause.before, cause.after, *both)):
            return replace(cause, impact=Impact.UPDATE, why=row.instead)
    return cause


def _propagate(changes: dict[Key, Change], old: Mapping[Key, Resource], new: Mapping[Key, Resource]) -> None:
    """A replaced resource has another id, which changes whoever refers to it, until nothing more follows."""
    users: dict[Key, list[tuple[Key, Path, Reference]]] = defaultdict(list)
    for key in sorted(old.keys() & new.keys()):
        for path, reference in references(dict(new[key].properties)):
            users[reference.key].append((key, path, reference))
    # What is certain first, so that the result does not depend on the order in which replacements are met.
    for level in (Impact.REPLACE, Impact.MAY_REPLACE):
        risen = [key for key, change in changes.items() if change.impact is level]
        while risen:
            key = risen.pop()
            for user, path, reference in users[key]:
                cause = _following(key, level, path, reference, old[user], new[user])
                present = changes.get(user) or _whole(new[user], Impact.NONE)
                if cause is None:
                    continue
                worse = max(present.impact, cause.impact)
                changes[user] = replace(present, impact=worse, causes=(*present.causes, cause))
                if worse is level and present.impact < level:
                    risen.append(user)
    for key, change in changes.items():
        changes[key] = replace(change, causes=tuple(sorted(change.causes, key=lambda cause: cause.property)))


def _following(key: Key, level: Impact, path: Path, reference: Reference, old: Resource, new: Resource) -> Cause | None:
    """What it means for a resource that another one, which it refers to at `path`, is or may be replaced."""
    found = min(impact(new.type, path), level)
    if level is Impact.MAY_REPLACE and found < level:
        return None  # an update that may not even be needed is not worth telling
    why = f"{reference} is another one after {key[0]}.{key[1]} {'is' if level is Impact.REPLACE else 'may be'} replaced"
    return _refined(Cause(path, reference, reference, found, why, follows=key), old, new)
