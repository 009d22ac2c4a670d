"""AWS's own description of its resource types, as it ships inside the pinned CDK command line."""

from __future__ import annotations

import gc
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]

# What a change of a property does to its resource; `unknown` when the specification does not have the property.
Replacement = Literal["no", "maybe", "yes", "unknown"]
_WORST_FIRST: tuple[Replacement, ...] = ("unknown", "yes", "maybe", "no")


class NotSetUp(Exception):
    """The pinned CDK command line is not installed."""


def specification_path() -> Path:
    """The file of the service specification; BLUEPRINT_SPECIFICATION names another one."""
    path = Path(os.environ.get("BLUEPRINT_SPECIFICATION") or ROOT / "node_modules" / "aws-cdk" / "db.json.gz")
    if not path.is_file():
        raise NotSetUp(
            f"{path} is missing: the service specification comes with the CDK command line; run `make set-up`"
        )
    return path


@cache
def replacement(resource_type: str, path: tuple[str, ...]) -> Replacement:
    """What changing the property at `path` means for its resource: the worst of all steps on the way there."""
    resource = _resources().get(resource_type)
    if resource is None or path[0] not in resource["properties"]:
        return "unknown"
    flags = set(_flags(resource["properties"], path))
    return next(flag for flag in _WORST_FIRST if flag in flags)


def _flags(properties: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Replacement]:
    # Inside a property the specification has gaps; what it does not know there, the property above decides.
    if path and path[0] in properties:
        found = properties[path[0]]
        yield found.get("causesReplacement", "no")
        yield from _flags_inside(found["type"], path[1:])


def _flags_inside(type_: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Replacement]:
    match type_["type"]:
        case "ref":
            definition = _definitions().get(type_["reference"]["$ref"], {})
            yield from _flags(definition.get("properties", {}), path)
        case "array":
            yield from _flags_inside(type_["element"], path)
        case "map":
            yield from _flags_inside(type_["element"], path[1:])
        case "union":
            for option in type_["types"]:
                yield from _flags_inside(option, path)


@cache
def _schema() -> Mapping[str, Any]:
    text = gzip.decompress(specification_path().read_bytes())
    # Half a million objects that stay: looking for garbage among them, now and later, would double the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        schema: Mapping[str, Any] = json.loads(text)["schema"]
        gc.freeze()
    finally:
        if collecting:
            gc.enable()
    return schema


@cache
def _resources() -> Mapping[str, Any]:
    return {entity["cloudFormationType"]: entity for entity in _schema()["resource"]["entities"]}


@cache
def _definitions() -> Mapping[str, Any]:
    return {entity["$id"]: entity for entity in _schema()["typeDefinition"]["entities"]}
