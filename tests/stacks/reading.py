"""Small words for tests that read templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Template = dict[str, Any]
Resource = dict[str, Any]

ROLES = ("network", "data", "web", "edge", "workers", "signals")


def template(assembly: Path, role: str) -> Template:
    """The template of one stack of an assembly."""
    (file,) = assembly.glob(f"*-{role}.template.json")
    loaded: Template = json.loads(file.read_text())
    return loaded


def of_type(read: Template, resource_type: str) -> dict[str, Resource]:
    """The resources of one type, by logical id."""
    return {name: found for name, found in read.get("Resources", {}).items() if found["Type"] == resource_type}


def only(read: Template, resource_type: str) -> Resource:
    """The one resource of a type; more or none is a failure."""
    found = list(of_type(read, resource_type).values())
    assert len(found) == 1, f"{len(found)} of {resource_type}"
    return found[0]


def properties(read: Template, resource_type: str) -> Resource:
    """The properties of the one resource of a type."""
    found: Resource = only(read, resource_type)["Properties"]
    return found


def parameters(read: Template) -> dict[str, Any]:
    """Published parameters: path to value."""
    return {
        found["Properties"]["Name"]: found["Properties"]["Value"]
        for found in of_type(read, "AWS::SSM::Parameter").values()
    }


def statements(read: Template, action: str) -> list[Resource]:
    """The policy statements that allow an action."""
    found = []
    for policy in of_type(read, "AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            if action in ([actions] if isinstance(actions, str) else actions):
                found.append(statement)
    return found


def text(value: object) -> str:
    """Any template value as one searchable line."""
    return json.dumps(value)
