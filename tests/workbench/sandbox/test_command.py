"""`blueprint sandbox` as somebody types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.lab.servers import free_port
from workbench.report import sandbox as report
from workbench.sandbox import local as module
from workbench.sandbox.local import Local, Running
from workbench.synth import ROOT

RUNNING = Running(7, 5566, "2026-01-01T00:00:00+00:00", "AKIA0000000000000001")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a sandbox with a server that starts at once."""
    monkeypatch.setattr(module, "SERVER", "tests.workbench.sandbox.stand_in")
    yield tmp_path / "sand box"
    Local(tmp_path / "sand box").down()


def test_one_sitting(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    where = ["--folder", str(folder)]
    assert main(["sandbox", "up", "--port", str(port), *where]) == 0
    said = capsys.readouterr()
    assert f"http://127.0.0.1:{port}" in said.out
    assert "cdk bootstrap aws://000000000000/us-east-1" in said.out
    assert f"blueprint sandbox down --folder '{folder}'" in said.out

    assert main(["sandbox", "up", *where]) == 0
    again = capsys.readouterr()
    eval_line = f"""eval "$(blueprint sandbox env --folder '{folder}')\""""
    assert again.out.split("\n\n  ") == [
        f"A local AWS runs already at http://127.0.0.1:{port}, since a moment ago.",
        f"{eval_line}\n",
    ]
    assert again.err == ""
    assert main(["sandbox", "up", "--verbose", *where]) == 0
    assert said.out.partition("What it does not do:")[0] in capsys.readouterr().out

    assert main(["sandbox", "status", *where]) == 0
    assert "shop-network" in capsys.readouterr().out
    assert main(["sandbox", "status", "--json", *where]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["running"] is True
    assert facts["port"] == port
    assert facts["stacks"][0]["resources"] == 12
    assert "key" not in facts

    assert main(["sandbox", "down", *where]) == 0
    down = capsys.readouterr().out
    assert f"http://127.0.0.1:{port} has ended" in down
    assert "unset AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY" in down


@pytest.mark.parametrize(("words", "code"), [(["status"], 1), (["status", "--json"], 1), (["env"], 1)])
def test_where_nothing_runs_that_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    assert main(["sandbox", *words, "--folder", str(folder)]) == code
    said = capsys.readouterr()
    assert "Start one: blueprint sandbox up" in said.out + said.err or json.loads(said.out) == {"running": False}
    assert not (words == ["env"] and said.out), "a shell would run it"


def test_ending_what_does_not_run_is_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "down", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == f"No local AWS runs in {folder}.\n"


@pytest.mark.parametrize(
    ("now", "lasting"),
    [
        ("00:00:59", "since a moment ago"),
        ("00:01:00", "for 1 minute"),
        ("01:59:59", "for 119 minutes"),
        ("23:00:00", "for 23 hours"),
    ],
)
def test_how_long_it_runs_is_said_as_people_say_it(now: str, lasting: str) -> None:
    text = report.runs_already(RUNNING, Path("x"), now=datetime.fromisoformat(f"2026-01-01T{now}+00:00"))
    assert f"http://127.0.0.1:5566, {lasting}.\n" in text


def test_another_port_than_the_one_it_has_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert main(["sandbox", "up", "--port", str(port), "--folder", str(folder)]) == 0
    assert main(["sandbox", "up", "--port", str(port + 1), "--folder", str(folder)]) == 2
    assert f"It runs at port {port}, not {port + 1}" in capsys.readouterr().err


def test_a_taken_port_is_a_sentence(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Local(tmp_path / "other") as other:
        assert main(["sandbox", "up", "--port", str(other.port), "--folder", str(folder)]) == 2
    assert capsys.readouterr().err.startswith(f"Port {other.port} is taken by another program")


def test_a_shell_takes_what_env_prints(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing that it had before leads anywhere else."""
    port = free_port()
    main(["sandbox", "up", "--port", str(port), "--folder", str(folder)])
    capsys.readouterr()
    assert main(["sandbox", "env", "--folder", str(folder)]) == 0
    lines = capsys.readouterr().out
    before = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "secret"}
    ignoring = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    done = subprocess.run(
        ["sh", "-c", 'set -eu; eval "$LINES"; env'],
        env={"PATH": os.environ["PATH"], "LINES": lines, **before, **ignoring},
        capture_output=True,
        text=True,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert variables["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
    assert variables["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] == "false"
    assert (variables["CDK_DISABLE_CLI_TELEMETRY"], variables["CDK_NOTICES"]) == ("1", "false")
    assert not before.keys() & variables.keys()


def test_an_endpoint_of_a_single_service_is_taken_back() -> None:
    lines = report.script(RUNNING, {"AWS_ENDPOINT_URL_S3": "https://s3.example.com", "AWS_REGION": "eu-west-1"})
    assert "AWS_ENDPOINT_URL_S3" in lines.splitlines()[0]
    assert "AWS_REGION" not in lines.splitlines()[0]


def said(*, verbose: bool) -> str:
    forgotten = {"AWS::B::B": {"Y": "no place", "X": "no place"}, "AWS::A::A": {"Z": "never read"}}
    return report.started(
        RUNNING,
        folder=Path("build/sandbox"),
        lambdas=ROOT / "lambdas",
        limits=("Change sets that expire.",),
        only_kept={"AWS::C::C": "moto has none"},
        forgotten=forgotten,
        width=100,
        verbose=verbose,
    )


def test_what_is_not_simulated_is_said_and_on_request_all_of_it() -> None:
    short, long = said(verbose=False), said(verbose=True)
    assert "1 types are only remembered, and 3 properties not even that; --verbose" in " ".join(short.split())
    assert "Change sets that expire." in short
    assert "Rollback: what failed stays as it is" in short
    assert "AWS::B::B" not in short
    assert re.findall(r"^  (AWS::\S+) +(.+)$", long, re.MULTILINE) == [
        ("AWS::A::A.Z", "never read"),
        ("AWS::B::B.X", "no place"),
        ("AWS::B::B.Y", "no place"),
        ("AWS::C::C", "moto has none"),
    ]
    assert max(map(len, long.splitlines())) <= 100


def test_packages_that_differ_from_the_locked_ones_are_named(tmp_path: Path) -> None:
    lock = "moto==0.0.1 --hash=sha256:aa\nnothing-of-that-name==1.0 --hash=sha256:bb\n"
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "requirements.txt").write_text(lock, encoding="utf-8")
    text = report.functions(tmp_path)
    assert "0 of the 2 packages" in text
    assert "instead of 0.0.1, nothing-of-that-name missing instead of 1.0." in text
