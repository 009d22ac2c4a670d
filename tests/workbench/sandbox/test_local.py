"""The process of the local AWS: started once, found again, and nothing else ended in its place."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.lab.servers import free_port, listens
from workbench.sandbox import local as module
from workbench.sandbox.local import CannotStart, Local, Running
from workbench.synth import ROOT


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    """With a server that starts at once."""
    monkeypatch.setattr(module, "SERVER", "tests.workbench.sandbox.stand_in")
    one = Local(tmp_path / "sandbox")
    yield one
    one.down()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_runs_until_it_is_ended_and_any_command_finds_it(local: Local) -> None:
    assert local.status() is None
    running = local.up(free_port())
    assert Local(local.folder).status() == running
    assert running.get("/sandbox/stacks")
    assert Local(local.folder).down() == running
    assert not alive(running.pid)
    assert local.status() is None
    assert local.down() is None


def test_up_leaves_alone_what_runs_already(local: Local) -> None:
    running = local.up(free_port())
    assert local.up(free_port()) == running


def test_it_can_be_started_again_on_the_same_port(local: Local) -> None:
    first = local.up(free_port())
    local.down()
    second = local.up(first.port)
    assert second.port == first.port
    assert second.pid != first.pid


def test_a_port_of_somebody_else_is_left_alone(local: Local, tmp_path: Path) -> None:
    with Local(tmp_path / "other") as other:
        with pytest.raises(CannotStart, match=rf"Port {other.port} is taken .*--port {other.port + 1}"):
            local.up(other.port)
        assert local.status() is None
        assert alive(other.pid)


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_that_does_not_exist_is_refused(local: Local, port: int) -> None:
    with pytest.raises(CannotStart, match="does not exist"):
        local.up(port)


def test_a_number_left_behind_ends_no_other_program(local: Local) -> None:
    """After a crash the file names a process; by now it may be anybody's."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        local.folder.mkdir(parents=True)
        stale = {"pid": bystander.pid, "port": 1, "since": "2026-01-01T00:00:00+00:00", "key": ""}
        (local.folder / "sandbox.json").write_text(json.dumps(stale), encoding="utf-8")
        assert local.status() is None
        assert local.down() is None
        assert bystander.poll() is None
        assert local.up(free_port()).pid != bystander.pid
    finally:
        bystander.kill()
        bystander.wait()


def test_one_that_was_killed_is_noticed(local: Local) -> None:
    running = local.up(free_port())
    os.kill(running.pid, 9)
    os.waitpid(running.pid, 0)
    assert local.status() is None
    assert local.up(running.port).pid != running.pid


def test_what_the_server_said_is_shown_when_it_does_not_start(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(CannotStart, match="moto is missing"):
        local.up(free_port())
    assert local.status() is None


@pytest.mark.slow
def test_one_that_does_not_listen_to_reason_is_ended_all_the_same(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUBBORN", "1")
    monkeypatch.setattr(module, "SECONDS_TO_END", 0.5)
    running = local.up(free_port())
    local.down()
    assert not alive(running.pid)
    assert not listens(running.port)


def test_a_second_start_at_the_same_moment_waits_its_turn(local: Local) -> None:
    lock = local._lock()
    assert lock is not None
    with lock, pytest.raises(CannotStart, match="Another command is starting it"):
        local.up(free_port())


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="choose another --folder"):
        Local(tmp_path / "file" / "sandbox").status()


def test_the_variables_lead_to_this_machine_and_to_no_real_account() -> None:
    variables = Running(1, 5566, "now", "AKIA0000000000000001").variables
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5566"
    assert variables["AWS_EC2_METADATA_DISABLED"] == "true"
    assert variables["AWS_ACCESS_KEY_ID"] == "AKIA0000000000000001"


def test_every_start_has_a_key_of_its_own_that_no_other_user_can_read(local: Local) -> None:
    first = local.up(free_port())
    local.down()
    second = local.up(first.port)
    assert re.fullmatch(r"AKIA[0-9A-F]{16}", first.key)  # of the length by which moto knows keys
    assert first.key != second.key
    files = [path for path in local.folder.iterdir() if path.is_file() and second.key in path.read_text()]
    assert [path.stat().st_mode & 0o077 for path in files] == [0]


def test_what_is_in_it_is_counted(local: Local) -> None:
    running = local.up(free_port())
    assert local.contents(running)["functions"] == {}
    (local.folder / "functions").mkdir()
    counts = {"invoice": {"invocations": 2, "errors": 1}}
    (local.folder / "functions" / "invocations.json").write_text(json.dumps(counts), encoding="utf-8")
    contents = local.contents(running)
    assert contents["functions"] == counts
    assert [stack["name"] for stack in contents["stacks"]] == ["shop-network"]


def test_the_server_is_where_it_is_looked_for() -> None:
    assert (ROOT / Path(*module.SERVER.split("."))).with_suffix(".py").is_file()
