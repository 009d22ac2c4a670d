"""Resources as the shop's own templates want them, made in the local AWS with plain values for their functions."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from moto.moto_api._internal.models import moto_api_backend

from tests.golden_files import GOLDEN
from workbench.sandbox.kinds import KINDS
from workbench.sandbox.kinds.kind import FAILURES, Aws, Made, Wanted
from workbench.templates import short_forms

STACK_TAGS = {"team": "shop"}


@cache
def template_of(stage: int = 5) -> Mapping[str, Any]:
    """All resources of a stage by logical id, functions and all."""
    found: dict[str, Any] = {}
    for path in sorted((GOLDEN / str(stage)).glob("*.yaml")):
        found.update(short_forms.load(path.read_text(encoding="utf-8")).get("Resources") or {})
    return found


@cache
def _aws() -> Aws:
    return Aws("us-east-1")


class World:
    """An empty local AWS, in which whatever is asked for is made from the templates of stage 5, with what it needs.

    There is one at a time: it ends whatever was in moto before it.
    """

    def __init__(self, types: Collection[str]) -> None:
        moto_api_backend.reset()
        self.aws = _aws()
        self.types = types  # all others are not made: `values` stands for them
        self.values: dict[str, Any] = {}  # part of a function's text -> what it comes to
        self.made: dict[str, Made] = {}  # by logical id
        self.wanted: dict[str, Wanted] = {}

    def get(self, id: str) -> Made:
        """A resource of the templates, made now if it was not made before."""
        if id not in self.made:
            resource = template_of()[id]
            self.make(self.wants(resource["Type"], self.plain(resource["Properties"]), id))
        return self.made[id]

    def wants(self, resource_type: str, properties: Mapping[str, Any], id: str = "Thing") -> Wanted:
        return Wanted("shop", id, resource_type, properties, STACK_TAGS, "1")

    def make(self, wanted: Wanted) -> Made:
        self.made[wanted.id] = KINDS[wanted.type].create(self.aws, wanted)
        self.wanted[wanted.id] = wanted
        return self.made[wanted.id]

    def change(self, id: str, **properties: Any) -> Made:
        """Properties written into the template; None takes one out."""
        self.get(id)
        before = self.wanted[id]
        new = {key: value for key, value in {**before.properties, **properties}.items() if value is not None}
        after = replace(before, properties=new)
        self.made[id] = KINDS[before.type].update(self.aws, self.made[id], before, after)
        self.wanted[id] = after
        return self.made[id]

    def delete(self, id: str) -> None:
        made = self.get(id)
        KINDS[self.wanted[id].type].delete(self.aws, made, self.wanted[id])

    def refused(self, id: str) -> str:
        """Why a resource cannot be deleted."""
        self.get(id)
        with pytest.raises(FAILURES) as problem:
            self.delete(id)
        return str(problem.value)

    def tags_of(self, id: str) -> dict[str, str]:
        """As every service shows them that takes part in tagging."""
        client = self.aws.client("resourcegroupstaggingapi")
        mine = {"Key": "aws:cloudformation:logical-id", "Values": [id]}
        [found] = client.get_resources(TagFilters=[mine])["ResourceTagMappingList"]
        return {tag["Key"]: tag["Value"] for tag in found["Tags"]}

    def all_tags_of(self, id: str) -> dict[str, str]:
        """As they should be."""
        own = {tag["Key"]: tag["Value"] for tag in self.wanted[id].properties.get("Tags", [])}
        ours = {"aws:cloudformation:logical-id": id, "aws:cloudformation:stack-name": "shop"}
        return {**STACK_TAGS, **ours, **own}

    def plain(self, value: Any) -> Any:
        """A value without functions: of what can be made, what it really is; of all else, what `values` says."""
        match value:
            case {"Fn::Join": [glue, [*parts]]}:
                return glue.join(str(self.plain(part)) for part in parts)
            case {"Ref": str(id)} if self._is_ours(id):
                return self.get(id).id
            case {"Fn::GetAtt": [str(id), str(attribute)]} if self._is_ours(id):
                return self.get(id).attributes[attribute]
            case dict() if len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::")):
                function = json.dumps(value)
                unknown = re.sub(r"\W+", "-", function).strip("-")
                return next((known for part, known in self.values.items() if part in function), unknown)
            case dict():
                return {key: self.plain(item) for key, item in value.items()}
            case list():
                return [self.plain(item) for item in value]
        return value

    def _is_ours(self, id: str) -> bool:
        return id in self.made or template_of().get(id, {}).get("Type") in self.types


def surprises(
    wanted: Wanted, found: Mapping[str, Any], renamed: Mapping[str, str], untold: Collection[str]
) -> set[str]:
    """Where the service shows something else than is wanted, although its kind does not say that it forgets that; and
    what the kind says that it forgets, although the service shows it. `untold` is what no service ever shows."""
    properties = {name: value for name, value in wanted.properties.items() if name not in untold}
    unlike = set(_unlike(properties, found, renamed))
    forgets = [path for path in getattr(KINDS[wanted.type], "forgets", {}) if _has(properties, path.split("."))]
    unsaid = {path for path in unlike if not any(path == known or path.startswith(f"{known}.") for known in forgets)}
    shown = {known for known in forgets if not any(f"{path}.".startswith(f"{known}.") for path in unlike)}
    return unsaid | shown


def _has(value: Any, path: Sequence[str]) -> bool:
    if isinstance(value, list):
        return any(_has(item, path) for item in value)
    return not path or (isinstance(value, Mapping) and path[0] in value and _has(value[path[0]], path[1:]))


def _unlike(wanted: Any, found: Any, renamed: Mapping[str, str]) -> Iterator[str]:
    match wanted:
        case dict() if isinstance(found, str) and found.startswith("{"):  # a document that the service keeps as text
            yield from _unlike(wanted, json.loads(found), renamed)
        case dict() if isinstance(found, Mapping):
            members = {key.lower(): item for key, item in found.items()}
            for key, item in wanted.items():
                name = renamed.get(key, key).lower()
                for path in _unlike(item, members[name], renamed) if name in members else [""]:
                    yield f"{key}.{path}".strip(".")
        case list() if isinstance(found, Mapping) and "Quantity" in found:
            yield from _unlike(wanted, found.get("Items", []), renamed)
        case list() if isinstance(found, list) and len(found) == len(wanted):
            for item, other in zip(_in_order(wanted), _in_order(found), strict=True):
                yield from _unlike(item, other, renamed)
        case _ if _text(wanted) != _text(found):
            yield ""


def _in_order(items: list[Any]) -> list[Any]:
    return sorted(items) if all(isinstance(item, str) for item in items) else items


def _text(value: Any) -> str:
    """Numbers are text in some places and numbers in others."""
    if (isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value)) or type(value) in (int, float):
        return str(float(value))
    return value if isinstance(value, str) else json.dumps(value, default=str)
