"""Stacks as they lie on disk: a cloud assembly of CDK's, a folder of templates, or one template, JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
STACK = "aws:cloudformation:stack"
MACRO = "Fn::"
NESTED_ASSEMBLY = "cdk:cloud-assembly"
PATTERNS = ("*.template.json", "*.template.yaml", "*.template.yml")
# The ends of our own stacks' names; what comes before is the environment's name.
ROLES = ("global", "network", "data", "web", "edge", "workers", "signals")


class UnreadableTemplateError(Exception):
    """Something on disk that should be a template and is not."""


@dataclass(frozen=True, eq=False)
class StackTemplate:
    """One stack: its template, and where it stands among the others."""

    name: str
    role: str  # what the stack is for; joins it with the same stack of another stage or environment
    template: Mapping[str, Any]
    dependencies: tuple[str, ...] = ()
    region: str = ""
    termination_protection: bool = False

    @cached_property
    def resources(self) -> Mapping[str, Any]:
        """Logical id -> resource as the template has it; what macros and loops would add is not known here."""
        written = self.template.get("Resources") or {}
        return {logical_id: body for logical_id, body in written.items() if not logical_id.startswith(MACRO)}

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Outputs by name. A stack without resources is not deployed, so it has none."""
        return (self.template.get("Outputs") or {}) if self.resources else {}


@dataclass(frozen=True, eq=False)
class Assembly:
    """Stacks in an order in which they can be deployed."""

    stacks: tuple[StackTemplate, ...]

    def stack(self, role: str) -> StackTemplate | None:
        """The stack with this role."""
        return next((stack for stack in self.stacks if stack.role == role), None)

    @property
    def order(self) -> tuple[str, ...]:
        """Roles in the order of deployment."""
        return tuple(stack.role for stack in self.stacks)


def read_assembly(path: Path) -> Assembly:
    """Read a cloud assembly, a folder of bare templates, or a single template file."""
    if path.is_file():
        return Assembly((StackTemplate(path.stem, "template", _template(path)),))
    if not path.is_dir():
        raise UnreadableTemplateError(f"{path} does not exist")
    found = list(_from_manifest(path)) if (path / MANIFEST).is_file() else list(_bare(path))
    if not found:
        raise UnreadableTemplateError(f"{path} holds no template: expected {MANIFEST} or files named {PATTERNS[0]}")
    return Assembly(_in_order(_with_roles(found)))


def _from_manifest(folder: Path) -> Iterator[StackTemplate]:
    artifacts = _json(folder / MANIFEST).get("artifacts") or {}
    stacks = {artifact_id: artifact for artifact_id, artifact in artifacts.items() if artifact.get("type") == STACK}
    for artifact_id, artifact in stacks.items():
        if "templateFile" not in artifact.get("properties", {}):
            raise UnreadableTemplateError(f"{folder / MANIFEST}: stack {artifact_id} names no template")
    names = {key: stack["properties"].get("stackName", key) for key, stack in stacks.items()}
    for artifact_id, artifact in stacks.items():
        properties = artifact["properties"]
        region = str(artifact.get("environment", "")).rpartition("/")[2]
        yield StackTemplate(
            name=names[artifact_id],
            role="",
            template=_template(folder / properties["templateFile"]),
            dependencies=tuple(names[key] for key in artifact.get("dependencies", ()) if key in names),
            region="" if region.startswith("unknown-") else region,
            termination_protection=bool(properties.get("terminationProtection")),
        )
    for artifact in artifacts.values():
        if artifact.get("type") == NESTED_ASSEMBLY:
            yield from _from_manifest(folder / artifact["properties"]["directoryName"])


def _bare(folder: Path) -> Iterator[StackTemplate]:
    for file in sorted(file for pattern in PATTERNS for file in folder.glob(pattern)):
        yield StackTemplate(name=file.name.partition(".template.")[0], role="", template=_template(file))


def _with_roles(stacks: Iterable[StackTemplate]) -> list[StackTemplate]:
    """Our own stacks are known by the end of their name; foreign ones keep the whole name."""
    named = [(stack, _role(stack.name)) for stack in stacks]
    roles = [role for _, role in named]
    ours = len(set(roles)) == len(roles)
    return [replace(stack, role=role if ours else stack.name) for stack, role in named]


def _role(name: str) -> str:
    end = name.rpartition("-")[2]
    return end if end in ROLES and end != name else name


def _in_order(stacks: list[StackTemplate]) -> tuple[StackTemplate, ...]:
    """Each stack after those it depends on, otherwise as written; a circle is left as it is."""
    ordered: dict[str, StackTemplate] = {}
    waiting = list(stacks)
    while waiting:
        pending = {stack.name for stack in waiting}
        ready = next((stack for stack in waiting if not pending & set(stack.dependencies)), waiting[0])
        ordered[ready.name] = ready
        waiting.remove(ready)
    return tuple(ordered.values())


def _template(file: Path) -> Mapping[str, Any]:
    template = _json(file) if file.suffix == ".json" else _any_format(file)
    resources = template.get("Resources", {})
    if not isinstance(resources, dict):
        raise UnreadableTemplateError(f"{file}: Resources is {type(resources).__name__}, not a mapping of logical ids")
    for logical_id, resource in resources.items():
        if logical_id.startswith(MACRO):
            continue
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise UnreadableTemplateError(f"{file}: resource {logical_id} has no Type")
    return template


def _json(file: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise UnreadableTemplateError(f"{file}: {problem.strerror}") from problem
    except ValueError as problem:
        raise UnreadableTemplateError(f"{file} is not JSON: {problem}") from problem
    return _mapping(file, loaded)


def _any_format(file: Path) -> dict[str, Any]:
    from workbench.templates.short_forms import load  # only templates in YAML need a YAML parser

    try:
        return _mapping(file, load(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise UnreadableTemplateError(f"{file} is not a template: {problem}") from problem


def _mapping(file: Path, loaded: object) -> dict[str, Any]:
    if not isinstance(loaded, dict):
        raise UnreadableTemplateError(f"{file} holds {type(loaded).__name__}, not a template")
    return loaded
