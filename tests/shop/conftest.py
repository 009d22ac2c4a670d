"""The stand-in server as the hosts run it: a process, with nothing but its environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).parents[2] / "shop" / "server.py"
# Answers as psql does, and notes how it was asked. Whoever tests wants other behaviour writes another one.
PSQL = """#!/bin/bash
env | grep ^PG | sort >"$NOTES/psql-environment"
printf '%s\\n' "$@" >"$NOTES/psql-arguments"
printf '2026-01-01 00:00:00+00\\tPostgreSQL 17.6\\n'
"""
AWS = """#!/bin/bash
echo "$*" >>"$NOTES/aws-arguments"
echo signed-token
"""


class RunningShop:
    """A server process with its log and its clients."""

    def __init__(self, folder: Path, settings: dict[str, str], psql: str) -> None:
        self.folder = folder
        for name, text in (("psql", psql), ("aws", AWS)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.log = folder / "app.log"
        environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "NOTES": str(folder),
            "LISTEN": "127.0.0.1:0",
            "SHOP_NAME": "trial",
            **settings,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, str(SERVER)], env=environment, stdout=log, stderr=log)
        self.port = self.wait_for_line(lambda line: line.get("message") == "listening")["port"]

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def metric_lines(self, count: int) -> list[dict[str, Any]]:
        """The lines that CloudWatch reads as metrics, once there are so many."""
        self.wait_for_line(lambda _: sum("_aws" in line for line in self.lines()) >= count)
        return [line for line in self.lines() if "_aws" in line]

    def wait_for_line(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in self.lines():
                if wanted(line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"never logged:\n{self.log.read_text()}")

    def note(self, name: str) -> str:
        return (self.folder / name).read_text()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@pytest.fixture
def start_shop(tmp_path: Path) -> Iterator[Callable[..., RunningShop]]:
    """Starts servers with some settings, and a `psql` of one's own where wanted."""
    started: list[RunningShop] = []

    def start(psql: str = PSQL, **settings: str) -> RunningShop:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(RunningShop(folder, settings, psql))
        return started[-1]

    yield start
    for shop in started:
        shop.stop()
