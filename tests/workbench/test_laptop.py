"""`blueprint shop` as a person runs it: it opens, it says where, and it closes without leaving anything behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.lab.laptop import Interrupts
from workbench.lab.servers import LOOPBACK, free_port, listens
from workbench.synth import ROOT

pytestmark = pytest.mark.slow


def ignore_interrupts() -> None:
    """What a shell does to commands that a script starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# What may be set in the terminal, and would send this shop to another one's database and mail.
OF_ANOTHER_SHOP = {"MAIL_FROM": "shop@example.com", "SHOP_SETTINGS": "/nowhere", "DATABASE_ACTIVE": "managed"}


class Opened:
    """The command, running, once it has said where it opened."""

    def __init__(self, folder: Path, port: int, *, wait: bool = True) -> None:
        command = [sys.executable, "-m", "workbench.cli", "shop", "--port", str(port), "--folder", str(folder)]
        self.port = port
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=ignore_interrupts,
            env={**os.environ, **OF_ANOTHER_SHOP},
        )
        self.folder, self.said = folder, ""
        if wait:
            self.wait()

    def wait(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)  # as a terminal does: all of its processes
        return self.process.wait(60)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Opened]]:
    """Some that open at the same time; each test takes one away."""
    shops = [Opened(tmp_path_factory.mktemp("several") / "shop", free_port(), wait=False) for _ in range(4)]
    for opened in shops:
        opened.wait()
    yield shops[:]
    for opened in shops:
        opened.stop()


@pytest.fixture
def running() -> Iterator[list[Opened]]:
    started: list[Opened] = []
    yield started
    for opened in started:
        opened.stop()


def processes_in(folder: Path) -> list[str]:
    """Whatever still runs with this folder on its command line or as its place."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_text().replace("\0", " ")
            if str(folder) in line or str(folder) in os.readlink(process / "cwd"):
                found.append(line)
        except OSError:
            continue
    return found


def test_it_opens_keeps_its_data_and_leaves_nothing_running(several: list[Opened], running: list[Opened]) -> None:
    first = several.pop()
    folder, port = first.folder, first.port
    assert f"http://{LOOPBACK}:{port}\n" in first.said, first.said
    account = re.search(r"staff@example\.com, password: \S+", first.said)
    assert account is not None
    assert (folder / "staff.txt").stat().st_mode & 0o077 == 0
    assert "Everyday Oak Mug" in first.get("/")
    assert first.get("/api/v1/search?q=mug").count('"name"') > 3
    assert first.stop() == 0
    assert not listens(port)
    assert processes_in(folder) == []

    running.append(second := Opened(folder, port))
    assert account[0] in second.said, "the same account"
    assert first.said == second.said
    assert second.stop(signal.SIGTERM) == 0
    assert processes_in(folder) == []


def test_a_closed_terminal_closes_the_shop(several: list[Opened]) -> None:
    opened = several.pop()
    assert opened.stop(signal.SIGHUP) == 0
    assert processes_in(opened.folder) == []


def test_an_interrupt_while_it_opens_leaves_nothing_running(tmp_path: Path) -> None:
    opening = Opened(tmp_path / "shop", free_port(), wait=False)
    while not any("shop serve" in line for line in processes_in(tmp_path)):
        assert opening.process.poll() is None
        time.sleep(0.05)
    assert opening.stop() == 0
    assert processes_in(tmp_path) == []


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {ends: signal.getsignal(ends) for ends in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield Interrupts()
    for ends, handler in before.items():
        signal.signal(ends, handler)


def test_an_interrupt_waits_until_what_was_started_is_sure_to_be_stopped(interrupts: Interrupts) -> None:
    done = []

    def start() -> None:
        with interrupts.held():
            signal.raise_signal(signal.SIGTERM)
            done.append("promised to stop it")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["promised to stop it"]


@pytest.mark.usefixtures("interrupts")
def test_a_second_interrupt_does_not_cut_the_closing_short() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def test_it_closes_although_nobody_reads_what_it_says_any_more(several: list[Opened]) -> None:
    opened = several.pop()
    assert opened.process.stdout is not None
    opened.process.stdout.close()
    opened.process.terminate()
    opened.process.wait(60)
    assert processes_in(opened.folder) == []


def test_a_port_that_is_taken_is_answered_with_what_to_type_instead(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        opened = Opened(tmp_path / "shop", port)
    assert opened.process.wait(20) == 2
    assert opened.said.startswith(f"Port {port} is taken; perhaps the shop is open already: http://{LOOPBACK}:{port}\n")
    assert f"--port {port + 1}" in opened.said
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "Port 99999 does not exist"),
        (["--port", "0"], "Port 0 does not exist"),
        (
            ["--port", str(free_port()), "--folder", "/proc/x/y"],
            "Cannot make the folder /proc/x/y: No such file or directory",
        ),
    ],
)
def test_what_cannot_work_is_said_at_once(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shop", *arguments]) == 2
    assert capsys.readouterr().err.startswith(said)


def test_a_second_shop_in_the_same_folder_is_told_who_is_there(several: list[Opened]) -> None:
    first = several.pop()
    second = Opened(first.folder, free_port())
    assert second.process.wait(20) == 2
    assert re.search(r"PostgreSQL already runs in .* \(process \d+\): .*--folder", second.said)
    assert first.get("/healthz"), "and the first one goes on"
