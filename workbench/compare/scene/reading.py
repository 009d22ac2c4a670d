"""Templates as a picture needs them: who refers to what, and the names that people use."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from math import isfinite
from typing import Any

from workbench.templates import Key
from workbench.templates.reading import Resource, System, number
from workbench.templates.rights import POLICIES, holders, inline, statements

MOST = 10**9
# Steps of a construct path that only repeat what a thing is.
SAYING_NOTHING = frozenset(
    {"Bucket", "DeliveryStream", "Function", "Group", "Job", "Private", "Queue", "Resource", "Stream", "Table", "Topic"}
)
_HASH = re.compile(r"(?<=[a-zA-Z0-9])[0-9A-F]{8}$")  # that CDK appends to logical ids
_WORDS = re.compile(r"[A-Z]{1,3}\d+(?![a-z\d])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Reading:
    """One side, with what each resource refers to looked up once."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.by_type: Mapping[str, list[Resource]] = defaultdict(list)
        for resource in system.resources:
            self.by_type[resource.type].append(resource)
        self._targets: dict[Key, list[Resource]] = {}

    def of(self, *types: str) -> list[Resource]:
        """All resources of these types."""
        return [resource for wanted in types for resource in self.by_type.get(wanted, ())]

    def targets(self, resource: Resource) -> list[Resource]:
        """Everything that a resource refers to anywhere."""
        found = self._targets.get(key_of(resource))
        if found is None:
            found = self._targets[key_of(resource)] = self.system.targets(dict(resource.properties))
        return found

    def reached(self, resource: Resource, wanted: str, *through: str) -> list[Resource]:
        """The resources of a type that a resource refers to, also by way of those whose types end in `through`."""
        found: list[Resource] = []
        for target in self.targets(resource):
            if target.type == wanted:
                found.append(target)
            elif target is not resource and target.type.endswith(through or ("-",)):
                found += self.reached(target, wanted)
        return list(dict.fromkeys(found))

    def first(self, resource: Resource, path: str, *types: str) -> Resource | None:
        """The first resource of these types that a property refers to."""
        return self.system.target(resource.get(path), *types)

    @cached_property
    def users(self) -> Mapping[Key, list[Resource]]:
        """Who refers to each resource."""
        found: dict[Key, list[Resource]] = defaultdict(list)
        for resource in self.system.resources:
            for target in self.targets(resource):
                found[key_of(target)].append(resource)
        return found

    def users_of(self, resource: Resource, *types: str) -> list[Resource]:
        """The resources of these types that refer to a resource."""
        return [user for user in self.users.get(key_of(resource), ()) if user.type in types]

    @cached_property
    def statements(self) -> Mapping[Key, list[Mapping[str, Any]]]:
        """What each role may do, inline or attached from any stack."""
        found: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
        for role in self.of("AWS::IAM::Role"):
            for document in inline(role):
                found[key_of(role)] += _allowed(document)
        for policy in self.of(*POLICIES):
            for role in holders(self.system, policy):
                found[key_of(role)] += _allowed(policy.get("PolicyDocument"))
        return found


def _allowed(document: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in statements(document) if one.get("Effect") == "Allow")


def key_of(resource: Resource) -> Key:
    return resource.stack.role, resource.id


def keys_of(resources: Iterable[Resource | None]) -> tuple[Key, ...]:
    """Their keys, each once."""
    return tuple(dict.fromkeys(key_of(resource) for resource in resources if resource is not None))


def id_of(resource: Resource) -> str:
    return ".".join(key_of(resource))


def called(resource: Resource) -> str:
    """A short name in words: "Confirmation email" for "ConfirmationEmail/Job/Function"."""
    steps = resource.name.split("/")
    telling = [step for step in steps if step not in SAYING_NOTHING] or steps
    return in_words(telling[-1] if len(steps) > 1 else _HASH.sub("", telling[-1]))


def in_words(name: str) -> str:
    """ "ConfirmationEmail" as "Confirmation email"; what is written in other ways stays as it is."""
    if not name.isascii() or not name.isalnum():
        return name
    words = _WORDS.findall(name)
    if len(words) < 2 or "".join(words) != name:
        return name
    rest = (word if word.isupper() and len(word) > 1 else word.lower() for word in words[1:])
    return " ".join([words[0], *rest])


def text(value: Any) -> str:
    """A plain value as text; empty when only AWS could tell."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def amount(value: Any, default: int = 0) -> int:
    """A number of things as far as anybody could have them."""
    if isinstance(value, float) and not isfinite(value):
        return default
    return max(0, min(number(value, default), MOST))


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
