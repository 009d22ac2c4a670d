"""The resources of one environment side by side, with references followed from stack to stack."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol


class Stack(Protocol):
    """What the rules need to know of a stack."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def template(self) -> Mapping[str, Any]: ...


class Assembly(Protocol):
    """All stacks of one environment at one stage."""

    @property
    def stacks(self) -> Iterable[Stack]: ...


@dataclass(frozen=True, eq=False)
class ReadStack:
    """A stack as an assembly folder describes it."""

    name: str
    role: str
    region: str
    template: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ReadAssembly:
    stacks: tuple[ReadStack, ...]


def read_assembly(folder: Path) -> ReadAssembly:
    """The stacks of an assembly on disk."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return ReadAssembly(
        tuple(
            ReadStack(
                name=name,
                role=name.rpartition("-")[2],
                region=artifact["environment"].rpartition("/")[2],
                template=json.loads((folder / artifact["properties"]["templateFile"]).read_text(encoding="utf-8")),
            )
            for name, artifact in manifest["artifacts"].items()
            if artifact["type"] == "aws:cloudformation:stack"
        )
    )


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource as its template has it."""

    stack: Stack
    id: str
    type: str
    body: Mapping[str, Any]

    @property
    def properties(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.body.get("Properties") or {}
        return found

    def get(self, path: str, default: Any = None) -> Any:
        """A property by its dotted path; a missing step anywhere gives the default."""
        return dig(self.properties, path, default)


def dig(value: Any, path: str, default: Any = None) -> Any:
    """What is at a dotted path inside nested mappings."""
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return default
        value = value[step]
    return value


def items(value: Any) -> list[Any]:
    """A list of what CloudFormation lets people write as one thing or as several."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def spelled(value: Any) -> str:
    """A name as far as it can be read: joined parts in order, what only AWS knows as `<?>`."""
    match value:
        case str():
            return value
        case {"Fn::Join": [separator, list(parts)]}:
            return str(separator).join(spelled(part) for part in parts)
        case {"Fn::Sub": str(text)}:
            return text
    return "<?>"


def yes(value: Any) -> bool:
    """True as people write it in templates: `true` or `"true"`."""
    return value is True or value == "true"


def number(value: Any, default: int = 0) -> int:
    """A literal number, also one in quotes; anything else is the default."""
    try:
        return default if isinstance(value, bool) else int(value)
    except (TypeError, ValueError):
        return default


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every mapping and plain value inside `value`, with the keys that lead there."""
    if isinstance(value, Mapping):
        yield path, value
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


class System:
    """All resources of an assembly. A reference leads to a resource, also through exports and weak references."""

    def __init__(self, assembly: Assembly) -> None:
        self.stacks = tuple(assembly.stacks)
        self.resources = tuple(
            Resource(stack, logical_id, body["Type"], body)
            for stack in self.stacks
            for logical_id, body in (stack.template.get("Resources") or {}).items()
        )
        self._by_id = {(resource.stack.name, resource.id): resource for resource in self.resources}

    def of_type(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type in types]

    @cached_property
    def exports(self) -> dict[str, tuple[Stack, Any]]:
        """Name of an export -> the stack that makes it, and its value."""
        return {
            str(output["Export"]["Name"]): (stack, output["Value"])
            for stack in self.stacks
            for output in (stack.template.get("Outputs") or {}).values()
            if "Export" in output
        }

    def targets(self, stack: Stack, value: Any) -> list[Resource]:
        """The resources that a value refers to, in the order written."""
        found: dict[Resource, None] = {}
        for _, part in leaves(value):
            if isinstance(part, Mapping) and len(part) == 1:
                found |= dict.fromkeys(self._follow(stack, *next(iter(part.items()))))
        return list(found)

    def target(self, stack: Stack, value: Any, *types: str) -> Resource | None:
        """The first resource of one of these types that a value refers to."""
        return next((found for found in self.targets(stack, value) if not types or found.type in types), None)

    def users(self, resource: Resource, user_type: str, path: str) -> list[Resource]:
        """The resources of a type whose property at `path` refers to `resource`."""
        return [user for user in self.of_type(user_type) if resource in self.targets(user.stack, user.get(path))]

    def _follow(self, stack: Stack, function: str, argument: Any) -> list[Resource]:
        match function, argument:
            case "Ref", str(logical_id):
                names = [logical_id]
            case "Fn::GetAtt", str(text):
                names = [text.partition(".")[0]]
            case "Fn::GetAtt", [str(logical_id), *_]:
                names = [logical_id]
            case "Fn::Sub", _:
                text = argument if isinstance(argument, str) else str(items(argument)[0])
                names = [part.partition("}")[0].partition(".")[0] for part in text.split("${")[1:]]
            case "Fn::ImportValue", str(name) if name in self.exports:
                return self.targets(*self.exports[name])
            case "Fn::GetStackOutput", {"StackName": str(stack_name), "OutputName": str(output)}:
                owner = next((other for other in self.stacks if other.name == stack_name), None)
                return self.targets(owner, dig(owner.template, f"Outputs.{output}.Value")) if owner else []
            case _:
                return []
        return [self._by_id[stack.name, name] for name in names if (stack.name, name) in self._by_id]
