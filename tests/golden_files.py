"""Templates as golden files: what churns is left out, the rest reads well in any diff tool."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

GOLDEN = Path(__file__).parent / "golden"
HOW_TO_REFRESH = "If the change is meant, write the golden files again and review their diff: make golden"

# The order in which people read a resource; everything else in it follows in alphabetical order.
_FIRST = ["Type", "Description", "Condition", "DependsOn", "CreationPolicy", "UpdatePolicy"]
_FIRST += ["DeletionPolicy", "UpdateReplacePolicy", "Metadata", "Properties"]
_PLAIN = re.compile(r"[A-Za-z][\w.:/-]*\w")
_SECTIONS = ("Description", "Parameters", "Mappings", "Conditions", "Resources", "Outputs")


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, short forms for the functions of CloudFormation, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> Any:
        """`!Ref Vpc` without quotes: the emitter is careful with tags that it does not know."""
        event = self.event
        assert isinstance(event, yaml.ScalarEvent)
        if event.tag and event.tag.startswith("!") and not event.style and _PLAIN.fullmatch(event.value):
            return ""
        return super().choose_scalar_style()


class _Short:
    """One intrinsic function in its short form, such as `!Ref Vpc`."""

    def __init__(self, tag: str, value: Any) -> None:
        self.tag, self.value = tag, value


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _short(dumper: yaml.SafeDumper, short: _Short) -> yaml.Node:
    if isinstance(short.value, str):
        return dumper.represent_scalar(short.tag, short.value, style="|" if "\n" in short.value else None)
    if isinstance(short.value, dict):
        return dumper.represent_mapping(short.tag, short.value)
    return dumper.represent_sequence(short.tag, short.value)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Short, _short)


def normalise(value: Any, name: str = "") -> Any:
    """Without hashes of assets and, if `name` is given, without the name of the environment."""
    if isinstance(value, dict):
        return {_stable(key, name): normalise(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [normalise(item, name) for item in value]
    return _stable(value, name) if isinstance(value, str) else value


def _stable(text: str, name: str) -> str:
    text = re.sub(r"[0-9a-f]{64}", "<asset>", text)
    text = re.sub(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}", r"\1<asset>", text)
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?=[-/:.]|$)", "<name>", text) if name else text


def dump(template: Mapping[str, Any]) -> str:
    """A template as golden text."""
    plain = normalise(template)
    ordered = {section: plain[section] for section in _SECTIONS if section in plain}
    ordered |= {section: plain[section] for section in sorted(plain) if section not in ordered}
    for section in ("Resources", "Outputs"):
        if section in ordered:
            ordered[section] = {key: _ordered(item) for key, item in sorted(ordered[section].items())}
    text: str = yaml.dump(_shorten(ordered), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)
    return text


def _ordered(resource: Any) -> Any:
    first = {key: resource[key] for key in _FIRST if key in resource}
    return first | {key: resource[key] for key in sorted(resource) if key not in first}


def _shorten(value: Any) -> Any:
    """Intrinsic functions in their short form."""
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, argument),) = value.items()
        if key == "Ref":
            return _Short("!Ref", argument)
        if key == "Fn::GetAtt" and isinstance(argument, list) and all(isinstance(part, str) for part in argument):
            return _Short("!GetAtt", ".".join(argument))
        if key.startswith("Fn::"):
            inner = _shorten(argument)
            # YAML has no place for two tags in a row, so a function of a function keeps its long form.
            return {key: inner} if isinstance(inner, _Short) else _Short("!" + key.removeprefix("Fn::"), inner)
    return {key: _shorten(item) for key, item in value.items()}


def mismatch(path: Path, found: str) -> str:
    """What differs between a golden file and what was found; empty when nothing does."""
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    if expected == found:
        return ""
    shown = path.relative_to(GOLDEN.parent.parent)
    lines = difflib.unified_diff(
        expected.splitlines(), found.splitlines(), f"{shown} (golden)", f"{shown} (synthesised)", lineterm=""
    )
    return "\n".join([*lines, "", HOW_TO_REFRESH])


def property_diff(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> str:
    """Resource by resource and property by property, what differs between two sets of stacks."""
    lines: list[str] = []
    for role in sorted({*old, *new}):
        before, after = (dict(side.get(role, {}).get("Resources", {})) for side in (old, new))
        section: list[str] = []
        for logical_id in sorted({*before, *after}):
            section += _resource_diff(logical_id, before.get(logical_id), after.get(logical_id))
        if section:
            lines += [role, *section, ""]
    return "\n".join(lines)


def _resource_diff(logical_id: str, before: Any, after: Any) -> list[str]:
    if before is None or after is None:
        mark = "+" if before is None else "-"
        return [f"  {mark} {logical_id} ({(after or before)['Type']})"]
    old, new = dict(_leaves(before)), dict(_leaves(after))
    changed = [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]
    if not changed:
        return []
    lines = [f"    {path}: {old.get(path, '(none)')} -> {new.get(path, '(none)')}" for path in sorted(changed)]
    return [f"  ~ {logical_id} ({after['Type']})", *lines]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value with the path to it; functions of CloudFormation count as values."""
    function = isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))
    if isinstance(value, dict) and value and not function:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
    else:
        text = yaml.dump(_shorten(value), Dumper=_Dumper, default_flow_style=True, width=10_000, allow_unicode=True)
        yield path, " ".join(text.removesuffix("...\n").split())
