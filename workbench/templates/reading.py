"""Resources as rules ask for them: a property by its path, what it refers to, and who refers to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.templates import Assembly, Key, StackTemplate, references, resources
from workbench.templates.references import Resolver


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource with its stack; references in its properties are resolved."""

    stack: StackTemplate
    id: str
    type: str
    properties: Mapping[str, Any]
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What people call it: "Database/Primary"."""
        return self.stack.name_of(self.id)

    def get(self, path: str, default: Any = None) -> Any:
        """A property by its dotted path; a missing step anywhere gives the default."""
        return dig(self.properties, path, default)


class System:
    """All resources of an assembly. A reference leads to a resource, whichever stack it is in."""

    def __init__(self, assembly: Assembly) -> None:
        self.stacks = assembly.stacks
        # Name of an export -> the stack that makes it and the output that it is.
        self.exports = Resolver(assembly).exports
        by_role = {stack.role: stack for stack in assembly.stacks}
        self.by_key: Mapping[Key, Resource] = {
            key: Resource(by_role[found.stack], found.id, found.type, found.properties, found.body)
            for key, found in resources(assembly).items()
        }
        self.resources = tuple(self.by_key.values())

    def resource(self, key: Key) -> Resource | None:
        """The resource that is known by this key."""
        return self.by_key.get(key)

    def of_type(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type in types]

    def targets(self, value: Any) -> list[Resource]:
        """The resources that a value refers to, in the order written."""
        return list(dict.fromkeys(self.by_key[reference.key] for _, reference in references(value)))

    def target(self, value: Any, *types: str) -> Resource | None:
        """The first resource of one of these types that a value refers to."""
        return next((found for found in self.targets(value) if not types or found.type in types), None)

    def users(self, resource: Resource, user_type: str, path: str) -> list[Resource]:
        """The resources of a type whose property at `path` refers to `resource`."""
        return [user for user in self.of_type(user_type) if resource in self.targets(user.get(path))]


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
        case {"Fn::Sub": [str(text), *_]}:
            return text
    return "<?>"


def yes(value: Any) -> bool:
    """True as people write it in templates: `true` or `"true"`."""
    return value is True or value == "true"


def number(value: Any, default: int = 0) -> int:
    """A literal number, also one in quotes; anything else is the default."""
    try:
        return default if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
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
