"""What a function or the shop asks for is what it imports, at the version that these tests run with."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

from blueprint.stages import ASYNCHRONOUS
from workbench.synth import ROOT

LAMBDAS = ROOT / "lambdas"
LISTS = {path.parent: path for path in [*LAMBDAS.glob("*/requirements.in"), ROOT / "shop" / "requirements.in"]}
RUNTIME = {"boto3", "botocore"}  # in each function without our doing
BROUGHT_ALONG = {"botocore", "psycopg-pool", "typing-extensions"}  # by boto3, by an extra of psycopg, by starlette
BEHIND = packages_distributions()
PIN = re.compile(r"([a-z0-9-]+)(\[[a-z,]+\])?==([0-9.]+)")
# Imported by name of a program's option, or by another package, and so by no statement of ours.
UNSEEN = {"httptools", "uvloop", "python-multipart", "hiredis"}


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = [PIN.fullmatch(line) for line in lines]
    assert all(found), f"{path}: every line is a name, perhaps its extras, and an exact version"
    return {match[1]: match[3] for match in found if match}


def modules(source: Path) -> Iterator[str]:
    """What a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(folder: Path) -> set[str]:
    """The distributions behind everything that is reached from the files of a folder."""
    waiting, seen, found = list(folder.glob("*.py")), set(), set[str]()
    while waiting:
        source = waiting.pop()
        if source in seen:
            continue
        seen.add(source)
        for module in modules(source):
            ours = LAMBDAS.joinpath(*module.split(".")).with_suffix(".py")
            top = module.partition(".")[0]
            if top == "jobs":
                waiting += [ours] if ours.is_file() else []
            elif top not in sys.stdlib_module_names and top != "shop":
                found |= {re.sub(r"[_.]+", "-", name.lower()) for name in BEHIND[top]}
    return found


@pytest.mark.parametrize("path", LISTS.values(), ids=[folder.name for folder in LISTS])
def test_pins_are_the_versions_that_the_tests_run_with(path: Path) -> None:
    assert pins(path) == {name: version(name) for name in pins(path)}


@pytest.mark.parametrize("folder", LISTS, ids=[folder.name for folder in LISTS])
def test_everything_imported_is_asked_for_and_nothing_else(folder: Path) -> None:
    wanted = packages(folder)
    if folder.parent == LAMBDAS:
        wanted -= RUNTIME
    asked = set(pins(LISTS[folder])) - UNSEEN
    assert wanted - BROUGHT_ALONG == asked


def test_every_job_has_a_folder_with_a_list_and_every_folder_is_a_job() -> None:
    assert ASYNCHRONOUS.workers is not None
    jobs = {job.name for job in ASYNCHRONOUS.workers.jobs}
    assert {path.parent.name for path in LAMBDAS.glob("*/handler.py")} == {*jobs, "rotate_master_secret", "teardown"}
    assert {folder.name for folder in LISTS} == {*jobs, "shop"}
