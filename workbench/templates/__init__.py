"""Templates of anybody's as data: references resolved, replacement predicted, export locks found. One function each."""

from workbench.templates.assembly import Assembly, StackTemplate, read_assembly
from workbench.templates.files import UnreadableTemplateError
from workbench.templates.locks import Lock, LockKind, locks
from workbench.templates.references import Key, Reference, Resource, references, resources
from workbench.templates.replacement import Cause, Change, Impact, impact, predict

__all__ = [
    "Assembly",
    "Cause",
    "Change",
    "Impact",
    "Key",
    "Lock",
    "LockKind",
    "Reference",
    "Resource",
    "StackTemplate",
    "UnreadableTemplateError",
    "impact",
    "locks",
    "predict",
    "read_assembly",
    "references",
    "resources",
]
