"""The shop on this machine alone: PostgreSQL from its wheel, a filled catalogue, and pages to click through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from workbench.lab.servers import LOOPBACK, DidNotStart, Postgres, Process, listens
from workbench.synth import ROOT

PRODUCTS = 300
STAFF = "staff@example.com"
HIGHEST_PORT = 65_535


class CannotRun(Exception):
    """The shop cannot open here; the text says why and what would help."""


class Interrupts:
    """Ctrl-C, a polite kill, a closed terminal: the first one ends what runs, also where SIGINT was ignored."""

    def __init__(self) -> None:
        self._held = self._came = False
        for ends in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ends, self._end)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if not self._came:
            self._came = True
            if not self._held:
                raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """What must not be cut in two, as the start of a process and the promise to stop it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._came:
                raise KeyboardInterrupt


@dataclass(frozen=True)
class Laptop:
    """One shop in one folder. What is bought in it stays there until the folder is removed."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def staff_file(self) -> Path:
        return self.folder / "staff.txt"

    def run(self) -> None:
        """Open, say where, and stay until interrupted or until the shop ends by itself."""
        if not 1 <= self.port <= HIGHEST_PORT:
            raise CannotRun(f"Port {self.port} does not exist. Choose one from 1 to {HIGHEST_PORT}: --port 8000")
        if listens(self.port):
            raise CannotRun(
                f"Port {self.port} is taken; perhaps the shop is open already: {self.address}\n"
                f'To open another one: make shop OPTIONS="--port {self.port + 1} --folder build/second-shop"'
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise CannotRun(
                f"Cannot make the folder {self.folder}: {problem.strerror}. Choose another: --folder"
            ) from None
        interrupts = Interrupts()
        with suppress(KeyboardInterrupt), ExitStack() as running:
            with interrupts.held():
                postgres = self._postgres()
                running.callback(postgres.stop)
            self._prepare(postgres)
            with interrupts.held():
                shop = self._serve(postgres)
                running.callback(shop.stop)
            running.callback(print, "\nClosing.", flush=True)  # a callback of its own: nobody may be there to read it
            self._wait_for(shop)
            print(self._welcome(), flush=True)
            while shop.running:
                time.sleep(0.2)
            raise CannotRun(f"The shop has ended. Its last words are in {shop.log}")

    def _postgres(self) -> Postgres:
        try:
            return Postgres(self.folder.resolve() / "postgres")
        except DidNotStart as problem:
            lock = self.folder / "postgres" / "data" / "postmaster.pid"
            if lock.exists():
                pid = lock.read_text().split()[0]
                raise CannotRun(
                    f"PostgreSQL already runs in {self.folder} (process {pid}): stop the other shop, or choose another "
                    'folder: make shop OPTIONS="--folder build/second-shop"'
                ) from None
            raise CannotRun(f"PostgreSQL did not start: {problem}") from None

    def _prepare(self, postgres: Postgres) -> None:
        """Schema, products and an account for staff; each only where it is missing."""
        postgres.sql((ROOT / "shop" / "host" / "database.sql").read_text(encoding="utf-8"))
        self._shop(postgres, "migrate", "--role", "shop_owner", "--url", postgres.url())
        self._shop(postgres, "seed", "--products", str(PRODUCTS))
        if not self.staff_file.exists():
            said = self._shop(postgres, "staff", "add", STAFF)
            self.staff_file.touch(mode=0o600)
            self.staff_file.write_text(said, encoding="utf-8")

    def _serve(self, postgres: Postgres) -> Process:
        command = [sys.executable, "-m", "shop", "serve"]
        return Process(command, log=self.folder / "shop.log", variables=self._variables(postgres), inherits=False)

    def _wait_for(self, shop: Process) -> None:
        try:
            shop.wait_until(self._answers)
        except DidNotStart as problem:
            raise CannotRun(f"The shop did not open: {problem}") from None

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.address}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def _shop(self, postgres: Postgres, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "shop", *arguments],
            env=self._variables(postgres),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotRun(f"`shop {' '.join(arguments[:2])}` did not work: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def _variables(self, postgres: Postgres) -> dict[str, str]:
        """All that the shop sees: what else is set in this terminal may belong to another shop."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lambdas'}",
            "DATABASE_URL": postgres.url(user="shop_app"),
            "FILES_FOLDER": str(self.folder.resolve() / "files"),
            "LISTEN": f"{LOOPBACK}:{self.port}",
            "PROCESSES": "2",
        }

    def _welcome(self) -> str:
        return (
            f"The shop is open:  {self.address}\n"
            f"Its API:           {self.address}/api/v1/openapi.json\n"
            f"As staff:          {self.staff_file.read_text(encoding='utf-8').strip()}\n"
            f"Its log, its data: {self.folder}\n"
            "Stop it with Ctrl-C; the data stay for the next time."
        )
