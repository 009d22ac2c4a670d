"""Values of templates as people read them: resources by their names, and what only AWS knows in angle brackets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from workbench.templates import Key, Reference
from workbench.templates.reading import System

UNKNOWN = "<?>"
# What `Ref` gives, and attributes that are only other ways to name the whole resource.
WHOLE = ("", "Arn", "GroupId", "Id", "TopicArn")
_VARIABLE = re.compile(r"\$\{([^!{}]+)\}")


def names(*systems: System) -> dict[Key, str]:
    """What each resource is called on all these sides; two resources are never called the same."""
    found = dict[Key, str]()
    for system in systems:
        for key, resource in system.by_key.items():
            if found.get(key, resource.id) == resource.id:  # the other side may know no construct path
                found[key] = resource.name
    how_often = Counter(found.values())
    in_its_stack = Counter((stack, name) for (stack, _), name in found.items())
    return {
        (stack, logical_id): name
        if how_often[name] == 1
        else f"{name} ({stack})"
        if in_its_stack[stack, name] == 1
        else f"{name} ({stack}.{logical_id})"
        for (stack, logical_id), name in found.items()
    }


def written(value: Any, called: Mapping[Key, str]) -> str:
    """A value as text, with resources by the names that they are called by."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Reference():
            name = called.get(value.key, value.id)
            return name if value.attribute in WHOLE else f"{name}.{value.attribute}"
        case {"Ref": str(name)}:
            return f"<{name.removeprefix('AWS::')}>"
        case {"Fn::GetAtt": [str(logical_id), str(attribute)]}:
            return f"<{logical_id}.{attribute}>"
        case {"Fn::ImportValue": str(name)}:
            return f"<{name}>"
        case {"Fn::Join": [str(separator), [*parts]]}:
            return separator.join(written(part, called) for part in parts)
        case {"Fn::Sub": [str(text), Mapping() as values]}:
            return _VARIABLE.sub(lambda found: written(values.get(found[1], {"Ref": found[1]}), called), text)
        case {"Fn::Sub": str(text)}:
            return text
    return UNKNOWN


def several(value: Any) -> list[Any]:
    """What may be written as one thing or as several; where a condition decides, all that there may be."""
    match value:
        case None | {"Ref": "AWS::NoValue"}:
            return []
        case list() | tuple():
            return [one for item in value for one in several(item)]
        case {"Fn::If": [_, *branches]}:
            return several(branches)
    return [value]


def listed(texts: list[str], most: int = 6) -> str:
    """A few of them in a sentence, and how many more there are."""
    shown = texts if len(texts) <= most else [*texts[: most - 1], f"{len(texts) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""
