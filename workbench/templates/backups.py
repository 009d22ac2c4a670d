"""What backup plans select."""

from __future__ import annotations

from typing import Any

from workbench.templates.reading import Resource, System, dig, items

SELECTION = "AWS::Backup::BackupSelection"


def selected(system: System, selection: Resource) -> list[Resource]:
    """The resources that a selection takes: those that it names, and those with one of its tags."""
    named = system.targets(selection.get("BackupSelection.Resources"))
    tags = _pairs(selection.get("BackupSelection.ListOfTags"), "ConditionKey", "ConditionValue")
    return [each for each in system.resources if each in named or tags & _pairs(each.get("Tags"), "Key", "Value")]


def _pairs(tags: Any, key: str, value: str) -> set[tuple[str, str]]:
    """Tags as far as they are written out; two that nobody can read are not the same one."""
    pairs = ((dig(tag, key), dig(tag, value)) for tag in items(tags))
    return {pair for pair in pairs if all(isinstance(part, str) for part in pair)}
