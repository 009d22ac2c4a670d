"""Resources of all stacks side by side, with every reference leading to a resource, also from stack to stack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from workbench.templates.assembly import Assembly, StackTemplate
from workbench.templates.files import UnreadableTemplateError

Key = tuple[str, str]
"""(role of the stack, logical id): what a resource is known by at every stage."""

_VARIABLE = re.compile(r"\$\{\s*([^!{}\s][^{}]*?)\s*\}")
_SSM = "AWS::SSM::Parameter::Value<"
_OUTPUTS = "Outputs."
# Values that lead from one to the next: real ones take a few steps, some that were made to do harm never end.
_DEEPEST = 150
_MOST_FOLLOWED = 20_000
_MOST_CONDITIONS = 30  # of which each one is made of the next


@dataclass(frozen=True, order=True)
class Reference:
    """A value that a resource has once it exists: what `Ref` gives, or one of its attributes."""

    stack: str
    id: str
    attribute: str = ""

    @property
    def key(self) -> Key:
        """The resource that is referred to."""
        return self.stack, self.id

    def __str__(self) -> str:
        return ".".join(part for part in (self.stack, self.id, self.attribute) if part)


@dataclass(frozen=True, eq=False)
class Resource:
    """A resource whose properties hold values and `Reference`s instead of CloudFormation's ways to write them."""

    stack: str
    id: str
    type: str
    properties: Mapping[str, Any]
    body: Mapping[str, Any]  # all else as written: policies, dependencies, condition

    @property
    def key(self) -> Key:
        return self.stack, self.id

    @property
    def deletion_policy(self) -> str | None:
        """What happens to it when the template no longer has it."""
        return self.body.get("DeletionPolicy")

    @property
    def update_replace_policy(self) -> str | None:
        """What happens to the old one when it is replaced."""
        return self.body.get("UpdateReplacePolicy")


@lru_cache(maxsize=8)
def resources(assembly: Assembly) -> Mapping[Key, Resource]:
    """All resources of an assembly, references resolved; worked out once for all who ask about it."""
    resolver = Resolver(assembly)
    return MappingProxyType(
        {
            (stack.role, logical_id): Resource(
                stack=stack.role,
                id=logical_id,
                type=body["Type"],
                properties=MappingProxyType(
                    {name: resolver.resolve(stack, value) for name, value in (body.get("Properties") or {}).items()}
                ),
                body=MappingProxyType(body),
            )
            for stack in assembly.stacks
            for logical_id, body in stack.resources.items()
        }
    )


def references(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Reference]]:
    """Every reference inside a resolved value, with the path to the property that it is used in."""
    if isinstance(value, Reference):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(item, path if key.startswith("Fn::") else (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from references(item, (*path, number))


def is_function(value: Any) -> bool:
    """Whether a mapping is one of CloudFormation's functions rather than data."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    name = str(next(iter(value)))
    return name == "Ref" or name.startswith("Fn::")


class Resolver:
    """Follows references within and between the stacks of one assembly."""

    def __init__(self, assembly: Assembly) -> None:
        self._by_name = {stack.name: stack for stack in assembly.stacks}
        self._nested = {stack.nested_in: stack for stack in assembly.stacks}
        self._following: set[tuple[str, str]] = set()
        self._followed = self._depth = 0
        self.exports: dict[str, tuple[StackTemplate, str]] = {}
        for stack in assembly.stacks:
            for output, body in stack.outputs.items():
                name = self.export_name(stack, body)
                if name is not None:
                    self.exports[name] = (stack, output)

    def export_name(self, stack: StackTemplate, output: Mapping[str, Any]) -> str | None:
        """Under which name an output is exported; None when it is not, or when only AWS can tell."""
        name = self.resolve(stack, (output.get("Export") or {}).get("Name"))
        return name if isinstance(name, str) else None

    def resolve(self, stack: StackTemplate, value: Any) -> Any:
        """The value with everything in it that templates alone can tell."""
        if not isinstance(value, Mapping | list):
            return value
        if self._depth > _DEEPEST:
            raise UnreadableTemplateError(f"{stack.name}: values lead from one to the next without end")
        self._depth += 1
        try:
            if isinstance(value, list):
                return [self.resolve(stack, item) for item in value]
            if is_function(value):
                ((function, argument),) = value.items()
                return self._call(stack, function, argument)
            return {key: self.resolve(stack, item) for key, item in value.items()}
        finally:
            self._depth -= 1

    def _call(self, stack: StackTemplate, function: str, argument: Any) -> Any:
        match function, argument:
            case "Ref", str(name):
                return self._ref(stack, name)
            case "Fn::GetAtt", str(text):
                return self._attribute(stack, *text.partition(".")[::2])
            case "Fn::GetAtt", [str(logical_id), attribute]:
                return self._attribute(stack, logical_id, self.resolve(stack, attribute))
            case "Fn::Sub", str(text):
                return self._sub(stack, text, {})
            case "Fn::Sub", [str(text), Mapping() as given]:
                return self._sub(stack, text, given)
            case "Fn::If", [str(condition), *branches]:
                return {function: [self._condition(stack, condition), *self.resolve(stack, branches)]}
        inner = self.resolve(stack, argument)
        match function, inner:
            case "Fn::Join", [str(separator), [*parts]] if all(isinstance(part, str) for part in parts):
                return separator.join(parts)
            case "Fn::FindInMap", [str(name), *keys]:
                return self._find(stack, name, keys)
            case "Fn::ImportValue", str(name) if name in self.exports:
                return self._output(*self.exports[name], {function: name})
            case "Fn::GetStackOutput", {"StackName": str(name), "OutputName": str(output)} if name in self._by_name:
                return self._output(self._by_name[name], output, {function: inner})
        return {function: inner}

    def _ref(self, stack: StackTemplate, name: str) -> Any:
        if name in stack.resources:
            return Reference(stack.role, name)
        if name == "AWS::StackName" and stack.nested_in is None:
            return stack.name
        parameter = (stack.template.get("Parameters") or {}).get(name)
        if not isinstance(parameter, Mapping):
            return {"Ref": name}
        if stack.nested_in is not None:
            parent, logical_id = self._by_name[stack.nested_in[0]], stack.nested_in[1]
            given = (parent.resources[logical_id].get("Properties") or {}).get("Parameters")
            if isinstance(given, Mapping) and name in given:
                return self._follow(parent, given[name], (stack.name, f"{name} of its parent"), {"Ref": name})
        if "Default" not in parameter:
            return {"Ref": name}
        if str(parameter.get("Type")).startswith(_SSM):
            return f"{{{{resolve:ssm:{parameter['Default']}}}}}"
        return parameter["Default"]

    def _attribute(self, stack: StackTemplate, logical_id: str, attribute: Any) -> Any:
        nested = self._nested.get((stack.name, logical_id))
        if nested is not None and isinstance(attribute, str) and attribute.startswith(_OUTPUTS):
            unresolved = Reference(stack.role, logical_id, attribute)
            return self._output(nested, attribute.removeprefix(_OUTPUTS), unresolved)
        if logical_id in stack.resources and isinstance(attribute, str):
            return Reference(stack.role, logical_id, attribute)
        return {"Fn::GetAtt": [logical_id, attribute]}

    def _sub(self, stack: StackTemplate, text: str, given: Mapping[str, Any]) -> Any:
        """Plain values are put into the text; what is left is listed beside it."""
        values: dict[str, Any] = {}

        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name in given:
                value = self.resolve(stack, given[name])
            elif "." in name:
                value = self._call(stack, "Fn::GetAtt", name)
            else:
                value = self._ref(stack, name)
            if isinstance(value, str):
                return value
            values[name] = value
            return f"${{{name}}}"

        text = _VARIABLE.sub(put, text)
        return {"Fn::Sub": [text, values]} if values or "${!" in text else text

    def _find(self, stack: StackTemplate, name: str, keys: list[Any]) -> Any:
        found: Any = (stack.template.get("Mappings") or {}).get(name, name)
        if all(isinstance(key, str) for key in keys):
            try:
                return found[keys[0]][keys[1]]
            except (KeyError, IndexError, TypeError):
                return {"Fn::FindInMap": [name, *keys]}
        return {"Fn::FindInMap": [found, *keys]}

    def _condition(self, stack: StackTemplate, name: str) -> Any:
        """What a condition says instead of what it is called, so that a change of it is seen where it matters."""
        said = (stack.template.get("Conditions") or {}).get(name)
        return name if said is None else self.resolve(stack, self._inline(stack, said, {name}))

    def _inline(self, stack: StackTemplate, value: Any, seen: set[str]) -> Any:
        name = value.get("Condition") if isinstance(value, Mapping) and len(value) == 1 else None
        if isinstance(name, str) and name not in seen and len(seen) < _MOST_CONDITIONS:
            said = (stack.template.get("Conditions") or {}).get(name) if self._goes_on() else None
            return name if said is None else self._inline(stack, said, {*seen, name})
        if isinstance(value, Mapping):
            return {key: self._inline(stack, item, seen) for key, item in value.items()}
        if isinstance(value, list):
            return [self._inline(stack, item, seen) for item in value]
        return value

    def _output(self, stack: StackTemplate, output: str, unresolved: Any) -> Any:
        if output not in stack.outputs:
            return unresolved
        return self._follow(stack, stack.outputs[output].get("Value"), (stack.name, output), unresolved)

    def _follow(self, stack: StackTemplate, value: Any, place: tuple[str, str], unresolved: Any) -> Any:
        """A value that stands somewhere else, as long as the way there is no circle."""
        if place in self._following or not self._goes_on():
            return unresolved
        self._following.add(place)
        try:
            return self.resolve(stack, value)
        finally:
            self._following.discard(place)

    def _goes_on(self) -> bool:
        """Whether there is room for one more step: values that double with each step would fill the memory."""
        self._followed += 1
        return self._followed < _MOST_FOLLOWED
