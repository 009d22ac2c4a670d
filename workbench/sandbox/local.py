"""The local AWS as a process of its own: started, found again, and ended."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

from workbench.lab.servers import LOOPBACK, free_port, listens
from workbench.synth import ROOT

SERVER = "workbench.sandbox.server"
KEY = "SANDBOX_KEY"  # the variable that hands its key to the server's process, and to nobody who lists processes
HIGHEST_PORT = 65_535
SECONDS_TO_START, SECONDS_TO_END = 60, 20
REGION = "us-east-1"
# Or the CDK's command line would ask its makers for news, whatever the endpoint is.
SILENT = {"CDK_DISABLE_CLI_TELEMETRY": "1", "CDK_DISABLE_VERSION_CHECK": "1", "CDK_NOTICES": "false"}
FUNCTIONS = "functions"  # in the sandbox's folder: what the runner unpacks, and
INVOCATIONS = "invocations.json"  # in that one: function -> how often it ran, and how often that failed


class CannotStart(Exception):
    """There is no local AWS now; the text says why and what would help."""


@dataclass(frozen=True)
class Running:
    """A local AWS, and where."""

    pid: int
    port: int
    since: str
    key: str = field(repr=False)  # whoever has it may do everything; a new one with every start

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What makes every AWS tool talk to it, and to nothing else."""
        return {**variables(self.url, self.key, REGION), **SILENT}

    def get(self, path: str) -> Any:
        """What the server itself tells, as JSON. Straight to it: nobody's proxy has a part in this."""
        connection = HTTPConnection(LOOPBACK, self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Authorization": f"Credential={self.key}/0/{REGION}/sandbox/"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise HTTPException(f"{path}: {answer.status} {answer.reason}")
            return json.loads(answer.read())
        finally:
            connection.close()


def variables(url: str, key: str, region: str) -> dict[str, str]:
    """What AWS's own libraries read."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",  # whatever ~/.aws/config says
    }


class Local:
    """The local AWS of one folder.

    Its process inherits a locked file and never lets go of it, so that the lock, and not a number in a file, tells
    whether it lives: the number may belong to another program by now.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "server.log"
        self._state = self.folder / "sandbox.json"

    def __enter__(self) -> Running:
        return self.up(free_port())

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self, port: int, say: Callable[[str], None] = lambda _: None) -> Running:
        """Start it and wait until it answers; what runs already in this folder is left as it is."""
        lock = self._lock()
        if lock is None:
            return self._read()
        with lock:
            if not 1 <= port <= HIGHEST_PORT:
                raise CannotStart(f"Port {port} does not exist. Choose one from 1 to {HIGHEST_PORT}: --port 5566")
            if listens(port):
                raise CannotStart(
                    f"Port {port} is taken by another program. Choose another port: "
                    f"blueprint sandbox up --port {port + 1 if port < HIGHEST_PORT else port - 1}"
                )
            say("Starting a local AWS ...")
            self._state.unlink(missing_ok=True)
            self._state.touch(mode=0o600)  # nobody else on this machine may read the key
            key = f"AKIA{secrets.token_hex(8).upper()}"
            with self.log.open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", SERVER, "--port", str(port), "--folder", self.folder],
                    cwd=ROOT,
                    env={**os.environ, KEY: key},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock.fileno()],
                    start_new_session=True,
                )
            running = Running(process.pid, port, datetime.now(UTC).isoformat(timespec="seconds"), key)
            self._state.write_text(json.dumps(asdict(running)), encoding="utf-8")
        try:
            self._wait_for(running, process)
        except BaseException:
            self.down()
            raise
        return running

    def status(self) -> Running | None:
        """What runs in this folder, if it still does."""
        lock = self._lock()
        if lock is None:
            return self._read()
        lock.close()
        return None

    def down(self) -> Running | None:
        """End what runs in this folder, and say what it was."""
        running = self.status()
        if running is None:
            return None
        for how in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(running.pid, how)
            end = time.monotonic() + SECONDS_TO_END
            while (lock := self._lock()) is None and time.monotonic() < end:
                time.sleep(0.05)
            if lock is not None:
                lock.close()
                break
        with suppress(ChildProcessError):  # it may be our own child
            os.waitpid(running.pid, 0)
        self._state.unlink(missing_ok=True)
        return running

    def contents(self, running: Running) -> dict[str, Any]:
        """The stacks in it, and the functions that have run."""
        counted = self.folder / FUNCTIONS / INVOCATIONS
        functions = json.loads(counted.read_text(encoding="utf-8")) if counted.exists() else {}
        try:
            return {"stacks": running.get("/sandbox/stacks"), "functions": functions}
        except (OSError, HTTPException, ValueError) as problem:
            raise CannotStart(f"It runs, but does not answer ({problem!r}); {self.log} may say why") from None

    def _lock(self) -> IO[bytes] | None:
        """The folder's lock, or None while somebody has it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "lock").open("ab")
        except OSError as problem:
            raise CannotStart(f"Cannot write to {self.folder}: {problem.strerror}; choose another --folder") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def _read(self) -> Running:
        try:
            return Running(**json.loads(self._state.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise CannotStart(f"Another command is starting it in {self.folder} now. Wait, and ask again") from None

    def _wait_for(self, running: Running, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + SECONDS_TO_START
        while process.poll() is None and time.monotonic() < end:
            with suppress(OSError, HTTPException, ValueError):
                running.get("/sandbox/stacks")
                return
            time.sleep(0.1)
        raise CannotStart(f"It did not start. {self.log} says:\n{self.log.read_text(errors='replace')[-2000:]}")
