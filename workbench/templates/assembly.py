"""Stacks as they lie on disk: a cloud assembly of CDK's, a folder of templates, or one template, JSON or YAML."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from workbench.templates.files import UnreadableTemplateError, read

MANIFEST = "manifest.json"
STACK = "aws:cloudformation:stack"
MACRO = "Fn::"
READS_OTHER_STACKS = ("Fn::ImportValue", "Fn::GetStackOutput")
NESTED_ASSEMBLY = "cdk:cloud-assembly"
NESTED_STACK = "AWS::CloudFormation::Stack"
PATTERNS = ("*.template.json", "*.template.yaml", "*.template.yml")
# The sections whose names templates refer to, and those of them that hold a mapping under each name.
SECTIONS = ("Conditions", "Mappings", "Outputs", "Parameters", "Resources")
# At least one of which every template has.
KNOWN_BY = {*SECTIONS, "AWSTemplateFormatVersion", "Description", "Fn::Transform", "Metadata", "Rules", "Transform"}
OF_MAPPINGS = ("Outputs", "Parameters")
# The ends of our own stacks' names; what comes before is the environment's name.
ROLES = ("global", "network", "data", "web", "edge", "workers", "signals")
MOST_STACKS = 1_000
# The last steps of construct paths that say nothing.
ADDED_BY_CDK = frozenset({"ASG", "Default", "Resource"})

ConstructPath = tuple[str, str]
"""(path without the stack, logical id)."""


@dataclass(frozen=True, eq=False)
class StackTemplate:
    """One stack: its template, and where it stands among the others."""

    name: str
    role: str  # what the stack is for; joins it with the same stack of another stage or environment
    template: Mapping[str, Any]
    dependencies: tuple[str, ...] = ()
    region: str = ""
    termination_protection: bool = False
    paths: Mapping[str, str] = field(default_factory=dict)  # logical id -> construct path without the stack
    nested_in: tuple[str, str] | None = None  # the name of the stack and the logical id that this one is there
    account: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)  # which CloudFormation puts on every resource

    @cached_property
    def resources(self) -> Mapping[str, Any]:
        """Logical id -> resource as the template has it; what macros and loops would add is not known here."""
        return _written(self.template, "Resources")

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """Outputs by name. A stack without resources is not deployed, so it has none."""
        return _written(self.template, "Outputs") if self.resources else {}

    @cached_property
    def shared_values_read(self) -> tuple[tuple[str, Any], ...]:
        """Every call of a function that reads another stack's output, as (function, argument)."""
        return tuple(_calls(self.template))

    def name_of(self, logical_id: str) -> str:
        """What people call a resource, "Database/Primary": its construct path without what CDK adds to it."""
        steps = self.paths.get(logical_id, logical_id).split("/")
        while len(steps) > 1 and (steps[-1] in ADDED_BY_CDK or steps[-1].endswith(".NestedStackResource")):
            steps.pop()
        return "/".join(steps).removesuffix(".NestedStack")


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
        template = _template(path)
        alone = StackTemplate(path.stem, "template", template, paths=_own_paths(template))
        return Assembly((alone, *_with_roles(_few(_nested(alone, path.parent, [])))))
    if not path.is_dir():
        what = "is neither a file nor a folder" if path.exists() else "does not exist, or cannot be followed"
        raise UnreadableTemplateError(f"{path} {what}")
    found = _few(_from_manifest(path, set()) if (path / MANIFEST).is_file() else _bare(path))
    if not found:
        raise UnreadableTemplateError(f"{path} holds no template: expected {MANIFEST} or files named {PATTERNS[0]}")
    return Assembly(_in_order(_with_roles(found)))


def _few(stacks: Iterable[StackTemplate]) -> list[StackTemplate]:
    """As many stacks as anybody has; assemblies and stacks inside each other could go on for ever."""
    found = list(islice(stacks, MOST_STACKS + 1))
    if len(found) > MOST_STACKS:
        raise UnreadableTemplateError(f"more than {MOST_STACKS} stacks")
    return found


# --- where stacks come from ------------------------------------------------------------------------------------------


def _from_manifest(folder: Path, visited: set[str]) -> Iterator[StackTemplate]:
    manifest = folder / MANIFEST
    if os.path.realpath(manifest) in visited:
        raise UnreadableTemplateError(f"{manifest}: the assembly contains itself")
    visited.add(os.path.realpath(manifest))
    artifacts = {
        artifact_id: (artifact, _mapping(artifact.get("properties")))
        for artifact_id, artifact in _mapping(read(manifest).get("artifacts")).items()
        if isinstance(artifact, dict)
    }
    stacks = {key: artifact for key, artifact in artifacts.items() if artifact[0].get("type") == STACK}
    names = {key: str(properties.get("stackName", key)) for key, (_, properties) in stacks.items()}
    for artifact_id, (artifact, properties) in stacks.items():
        if "templateFile" not in properties:
            raise UnreadableTemplateError(f"{manifest}: stack {artifact_id} names no template")
        template = _template(_inside(folder, properties["templateFile"], manifest))
        told = _construct_paths(folder, artifact_id, artifact)
        account, region = _where(artifact)
        stack = StackTemplate(
            name=names[artifact_id],
            role="",
            template=template,
            dependencies=tuple(names[key] for key in _texts(artifact.get("dependencies")) if key in names),
            region=region,
            account=account,
            termination_protection=properties.get("terminationProtection") is True,
            tags=_mapping(properties.get("tags")),
            paths=_own_paths(template) | {logical_id: place for place, logical_id in _outermost(told)},
        )
        yield stack
        yield from _nested(stack, folder, told)
    for artifact, properties in artifacts.values():
        if artifact.get("type") == NESTED_ASSEMBLY:
            yield from _from_manifest(_inside(folder, properties.get("directoryName"), manifest), visited)


def _where(artifact: Mapping[str, Any]) -> tuple[str, str]:
    """Account and region, as in "aws://123456789012/us-east-1"; empty where only the deployment decides."""
    account, _, region = str(artifact.get("environment", "")).removeprefix("aws://").partition("/")
    return "" if account.startswith("unknown-") else account, "" if region.startswith("unknown-") else region


def _bare(folder: Path) -> Iterator[StackTemplate]:
    files = sorted(file for pattern in PATTERNS for file in folder.glob(pattern))
    stacks = {file: _template(file) for file in files}
    inside = {
        os.path.realpath(used)
        for template in stacks.values()
        for body in _written(template, "Resources").values()
        if (used := _nested_file(body, folder)) is not None
    }
    for file, template in stacks.items():
        if os.path.realpath(file) not in inside:
            name = file.name.partition(".template.")[0]
            stack = StackTemplate(name=name, role="", template=template, paths=_own_paths(template))
            yield stack
            yield from _nested(stack, folder, [])


def _nested(
    parent: StackTemplate, folder: Path, told: Sequence[ConstructPath], above: tuple[Path, ...] = ()
) -> Iterator[StackTemplate]:
    """The stacks inside a stack whose templates lie in the same folder; any other one stays a single resource."""
    for logical_id, body in parent.resources.items():
        file = _nested_file(body, folder)
        if file is None:
            continue
        if file in above:
            raise UnreadableTemplateError(f"{file}: the stack contains itself")
        template = _template(file)
        scope = parent.name_of(logical_id)
        within = [(place, its_id) for place, its_id in told if place.startswith(scope + "/")]
        stack = replace(
            parent,
            name=f"{parent.name}/{logical_id}",
            template=template,
            nested_in=(parent.name, logical_id),
            paths={its_id: f"{scope}/{its_id}" for its_id in _written(template, "Resources")}
            | _own_paths(template)
            | {its_id: place for place, its_id in _outermost(within)},
        )
        yield stack
        yield from _nested(stack, folder, within, (*above, file))


def _nested_file(body: Mapping[str, Any], folder: Path) -> Path | None:
    """The template of a nested stack, if it is an asset of the assembly or named by a path inside the folder."""
    if body["Type"] != NESTED_STACK:
        return None
    asset = _mapping(body.get("Metadata")).get("aws:asset:path")
    if asset is not None:
        return _inside(folder, asset, folder)
    url = _mapping(body.get("Properties")).get("TemplateURL")
    if not isinstance(url, str):
        return next((_inside(folder, path, folder) for path in _asset_sources(folder, url)), None)
    try:
        file = _inside(folder, url, folder)
    except UnreadableTemplateError:
        return None  # an address, or a file that its owner keeps elsewhere
    return file if file.is_file() else None


def _asset_sources(folder: Path, url: Any) -> Iterator[Any]:
    """The files that an address, put together from the hash of an asset, stands for."""
    hashes = re.findall(r"[0-9a-f]{64}", json.dumps(url))
    for listing in sorted(folder.glob("*.assets.json")) if hashes else ():
        files = _mapping(read(listing).get("files"))
        yield from (_mapping(_mapping(files[key]).get("source")).get("path") for key in hashes if key in files)


def _inside(folder: Path, name: object, told_by: Path) -> Path:
    """The file of this name in the folder; a name that leads anywhere else is refused."""
    if isinstance(name, str) and name and "\0" not in name:
        top = Path(os.path.realpath(folder))
        if Path(os.path.realpath(folder / name)).is_relative_to(top):
            return folder / name
    raise UnreadableTemplateError(f"{told_by}: {name!r} does not lead to a file in {folder}")


# --- what they are called --------------------------------------------------------------------------------------------


def _construct_paths(folder: Path, artifact_id: str, artifact: Mapping[str, Any]) -> list[ConstructPath]:
    """What the assembly says besides the template about where each resource was made."""
    entries = _mapping(artifact.get("metadata"))
    if "additionalMetadataFile" in artifact:
        file = _inside(folder, artifact["additionalMetadataFile"], folder / MANIFEST)
        entries = entries | (read(file) if file.exists() else {})
    top = str(artifact.get("displayName", artifact_id))
    return [
        (_below(path.removeprefix("/"), top), entry["data"])
        for path, told in entries.items()
        for entry in (told if isinstance(told, list) else ())
        if isinstance(entry, dict) and entry.get("type") == "aws:cdk:logicalId" and isinstance(entry.get("data"), str)
    ]


def _below(path: str, top: str) -> str:
    return path.removeprefix(top + "/") if path.startswith(top + "/") else path.partition("/")[2] or path


def _outermost(told: Sequence[ConstructPath]) -> Iterator[ConstructPath]:
    """Without what stands inside nested stacks, whose logical ids are their own."""
    scopes = [place.rpartition(".NestedStack/")[0] + "/" for place, _ in told if ".NestedStack/" in place]
    return ((place, logical_id) for place, logical_id in told if not place.startswith(tuple(scopes)))


def _own_paths(template: Mapping[str, Any]) -> dict[str, str]:
    """What CDK writes into templates themselves, unless it is told not to."""
    found = {
        logical_id: _mapping(body.get("Metadata")).get("aws:cdk:path")
        for logical_id, body in _written(template, "Resources").items()
    }
    return {logical_id: _below(path, "/") for logical_id, path in found.items() if isinstance(path, str)}


def _with_roles(stacks: Sequence[StackTemplate]) -> list[StackTemplate]:
    """Our own stacks are known by the end of their name; foreign ones keep the whole name."""
    roots = [stack for stack in stacks if stack.nested_in is None]
    ours = len({_role(stack.name) for stack in roots}) == len(roots)
    how_often = Counter(stack.name for stack in roots)
    roles = dict[str, str]()
    made = list[StackTemplate]()
    for stack in stacks:
        if stack.nested_in is None:
            role = _role(stack.name) if ours else stack.name
            if how_often[stack.name] > 1:  # one name may be used once in each region and account
                role = next(
                    name
                    for number in range(len(stacks) + 1)
                    if (name := f"{role}@{stack.region}" + f"#{number}" * (number > 0)) not in roles.values()
                )
        else:
            role = f"{roles.get(stack.nested_in[0], 'template')}/{stack.nested_in[1]}"
        roles[stack.name] = role
        made.append(replace(stack, role=role))
    return made


def _role(name: str) -> str:
    end = name.rpartition("-")[2]
    return end if end in ROLES and end != name else name


def _in_order(stacks: list[StackTemplate]) -> tuple[StackTemplate, ...]:
    """Each stack after those it depends on, otherwise as written; a circle is left as it is."""
    ordered: list[StackTemplate] = []
    waiting = list(stacks)
    while waiting:
        pending = {stack.name for stack in waiting}
        ready = next((stack for stack in waiting if not pending & set(stack.dependencies)), waiting[0])
        ordered.append(ready)
        waiting.remove(ready)
    return tuple(ordered)


# --- what must hold for every reader ---------------------------------------------------------------------------------


def _template(file: Path) -> Mapping[str, Any]:
    template = read(file)
    if template and not KNOWN_BY & template.keys():
        raise UnreadableTemplateError(f"{file} is not a template: it has no Resources, nor any other section of one")
    for name in SECTIONS:
        section = template.get(name)
        if section is not None and not isinstance(section, dict):
            expected = "a mapping of logical ids" if name == "Resources" else "a mapping"
            raise UnreadableTemplateError(f"{file}: {name} is {type(section).__name__}, not {expected}")
        for key, body in _written(template, name).items():
            if name in OF_MAPPINGS and not isinstance(body, dict):
                raise UnreadableTemplateError(f"{file}: {key} in {name} is {type(body).__name__}, not a mapping")
    for logical_id, resource in _written(template, "Resources").items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise UnreadableTemplateError(f"{file}: resource {logical_id} has no Type")
        if not isinstance(resource.get("Properties"), dict | None):
            raise UnreadableTemplateError(f"{file}: the properties of {logical_id} are no mapping")
    return template


def _written(template: Mapping[str, Any], section: str) -> dict[str, Any]:
    """A section without what macros and loops would make of it."""
    return {key: body for key, body in (template.get(section) or {}).items() if not key.startswith(MACRO)}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _calls(value: Any) -> Iterator[tuple[str, Any]]:
    # Exact types: a template is read from JSON or YAML, and this looks at every value in it.
    if type(value) is dict:
        for key, item in value.items():
            if key in READS_OTHER_STACKS:
                yield key, item
            yield from _calls(item)
    elif type(value) is list:
        for item in value:
            yield from _calls(item)
