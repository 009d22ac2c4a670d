"""The jobs' stand-ins: every event is checked and logged, and one that is none never holds up the others."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from blueprint.stages import ASYNCHRONOUS
from workbench.synth import ROOT

assert ASYNCHRONOUS.workers is not None
JOBS = [job.name for job in ASYNCHRONOUS.workers.jobs]
EVENT = {"id": "0192-a", "type": "order.placed", "version": 1}


def source(job: str) -> str:
    return (ROOT / "lambdas" / job / "handler.py").read_text(encoding="utf-8")


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest) -> ModuleType:
    module = ModuleType(request.param)
    exec(compile(source(request.param), request.param, "exec"), module.__dict__)
    return module


def batch(*bodies: str) -> dict[str, Any]:
    return {"Records": [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]}


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_event_is_accepted_and_logged_in_one_line(job: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    second = {**EVENT, "id": "0192-b", "order": 7}
    assert job.handler(batch(json.dumps(EVENT), json.dumps(second)), None) == {"batchItemFailures": []}
    lines = logged(capsys)
    assert [(line["id"], line["type"], line["version"]) for line in lines] == [
        ("0192-a", "order.placed", 1),
        ("0192-b", "order.placed", 1),
    ]
    assert {line["level"] for line in lines} == {"info"}


def test_only_what_is_named_is_logged_of_an_event(job: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    job.handler(batch(json.dumps({**EVENT, "email": "a@example.com"}), json.dumps({"email": "b@example.com"})), None)
    assert "example.com" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("no json", "Expecting value"),
        ("", "Expecting value"),
        ("[" * 100_000, ""),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        (json.dumps({"type": "order.placed", "version": 1}), "as its id"),
        (json.dumps({**EVENT, "id": ""}), "as its id"),
        (json.dumps({**EVENT, "id": 7}), "as its id"),
        (json.dumps({"id": "0192-a", "version": 1}), "as its type"),
        (json.dumps({"id": "0192-a", "type": "order.placed"}), "version 1 only"),
        (json.dumps({**EVENT, "version": 2}), "version 1 only"),
        (json.dumps({**EVENT, "version": "1"}), "version 1 only"),
        (json.dumps({**EVENT, "version": True}), "version 1 only"),
    ],
)
def test_what_is_no_event_fails_alone(
    job: ModuleType, body: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = job.handler(batch(json.dumps(EVENT), body, json.dumps(EVENT)), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    [error] = [line for line in logged(capsys) if line["level"] == "error"]
    assert error["message_id"] == "m1"
    assert complaint in error["message"]


def test_every_job_has_a_folder_and_every_folder_a_job() -> None:
    folders = {path.name for path in (ROOT / "lambdas").iterdir() if (path / "handler.py").is_file()}
    assert folders == {*JOBS, "rotate_master_secret"}


def test_the_stand_ins_differ_only_in_what_they_stand_for() -> None:
    """A job leaves this test when it gets its own work; until then none may drift away from the others."""
    trees = [ast.parse(source(job)) for job in JOBS]
    assert len({ast.get_docstring(tree) for tree in trees}) == len(JOBS)
    assert len({ast.dump(ast.Module(tree.body[1:], [])) for tree in trees}) == 1


@pytest.mark.parametrize("name", JOBS)
def test_a_stand_in_needs_only_the_standard_library(name: str) -> None:
    imported = {
        alias.name for node in ast.walk(ast.parse(source(name))) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported == {"json"}
    assert not list(Path(ROOT / "lambdas" / name).glob("requirements*"))
