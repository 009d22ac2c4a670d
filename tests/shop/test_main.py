"""The commands as a unit or a person starts them: real processes, a real PostgreSQL, real signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from shop import environment
from shop.__main__ import main
from shop.settings import BadSetting
from workbench.lab.servers import LOOPBACK, Postgres, Process, free_port
from workbench.synth import ROOT

pytestmark = pytest.mark.slow

PYTHON = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lambdas'}"}
NOWHERE = f"postgresql://shop_app@{LOOPBACK}:1/shop"


def shop(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shop", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
    return subprocess.run(
        command, env={**clean, **PYTHON, **variables}, capture_output=True, text=True, check=False, timeout=120
    )


def asked(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, which is much faster; at least once every command is a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
    with (
        patch.dict(os.environ, {**clean, **variables}, clear=True),
        redirect_stdout(StringIO()) as stdout,
        redirect_stderr(StringIO()) as stderr,
    ):
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())


class Serving:
    """`python -m shop serve` with a settings file, asked over the network."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self.file = folder / "app.env"
        self.settings = {"LISTEN": f"{LOOPBACK}:{self.port}", "FILES_FOLDER": str(folder), **settings}
        self.write()
        variables = {**PYTHON, "SHOP_SETTINGS": str(self.file)}
        self.process = Process([sys.executable, "-m", "shop", "serve"], log=folder / "app.log", variables=variables)
        self.process.wait_until(lambda: self.status("/healthz") == 200)

    def write(self, **changed: str) -> None:
        lines = [f"{name}={value}" for name, value in {**self.settings, **changed}.items()]
        self.file.write_text("# settings\n" + "\n".join(lines) + "\n")

    def status(self, path: str, timeout: float = 30) -> int:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def lines(self) -> list[dict[str, Any]]:
        text = self.process.log.read_text()
        try:
            return [json.loads(line) for line in text.splitlines()]
        except ValueError:
            raise AssertionError(f"not one line of JSON after the other:\n{text}") from None

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["message"] == message]

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {pid for pid in map(int, children) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()}


def until(happens: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def serve(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Serving]]:
    started: list[Serving] = []

    def start(**settings: str) -> Serving:
        started.append(Serving(tmp_path, {"DATABASE_URL": database_url, "PROCESSES": "2", **settings}))
        return started[-1]

    yield start
    for serving in started:
        serving.process.stop()


# --- Settings ---


COMMANDS = [["serve"], ["relay"], ["migrate"], ["seed"], ["staff", "add", "a@example.com"]]


@pytest.mark.parametrize("command", [*COMMANDS, ["copy-files"]], ids=lambda command: command[0])
def test_a_process_without_settings_ends_with_one_line(command: list[str]) -> None:
    done = shop(*command)
    assert done.returncode == 2
    assert done.stderr.startswith("shop: no database: ")
    assert (done.stderr.count("\n"), done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "no database: "),
        ({"DATABASE_URL": "mysql://a:s3cret@b/c"}, "DATABASE_URL makes no sense; it has to be postgresql://"),
        ({"DATABASE_URL": NOWHERE, "PROCESSES": "many"}, "PROCESSES is 'many'; it has to be a whole number"),
        ({"DATABASE_URL": NOWHERE, "SHOP_SETTINGS": "/does/not/exist"}, "SHOP_SETTINGS is '/does/not/exist'"),
        ({"DATABASE_URL": NOWHERE, "EVENTS_TOPIC": "arn:aws:sns:x"}, "EVENTS_TOPIC is set without FILES_BUCKET"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_settings_that_make_no_sense_end_every_command_with_one_line(
    variables: dict[str, str], said: str, command: list[str]
) -> None:
    done = asked(*command, **variables)
    assert done.returncode == 2
    assert done.stderr.startswith(f"shop: {said}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_settings_file_is_read_as_systemd_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "app.env"
    file.write_text("# note\n; note\n\nPLAIN=a=b c\nQUOTED=\"with space\"\nSINGLE='x'\n  INDENTED=1  \nEMPTY=\n")
    monkeypatch.setenv("SHOP_SETTINGS", str(file))
    monkeypatch.setenv("PLAIN", "from outside")
    monkeypatch.setenv("OTHER", "stays")
    found = environment.variables()
    assert {name: found[name] for name in ("PLAIN", "QUOTED", "SINGLE", "INDENTED", "EMPTY", "OTHER")} == {
        "PLAIN": "a=b c",
        "QUOTED": "with space",
        "SINGLE": "x",
        "INDENTED": "1",
        "EMPTY": "",
        "OTHER": "stays",
    }


@pytest.mark.parametrize("line", ["no equals sign", "1NUMBER=x", "export A=b", "=x"])
def test_a_line_that_is_no_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    (tmp_path / "app.env").write_text(f"GOOD=1\n{line}\n")
    monkeypatch.setenv("SHOP_SETTINGS", str(tmp_path / "app.env"))
    with pytest.raises(BadSetting, match="line 2: not of the form KEY=VALUE"):
        environment.variables()


def test_the_page_about_the_shop_names_every_variable_and_no_other() -> None:
    table = (ROOT / "docs" / "shop.md").read_text().partition("## Variables")[2].partition("\n## ")[0]
    named = set(
        re.findall(
            r"`([A-Z][A-Z_]+(?:_1)?)`",
            "\n".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|")),
        )
    )
    source = (ROOT / "shop" / "settings.py").read_text()
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', source)) - {"AUTH"}
    for prefix in ("DATABASE_HOST", "DATABASE_MANAGED"):
        read |= {f"{prefix}_{what}" for what in ("ENDPOINT", "PORT")}
    assert read | {"SHOP_SETTINGS", "DATABASE_MANAGED_REPLICAS_1"} == named


# --- Commands ---


@pytest.mark.parametrize("command", ["", "serve", "relay", "migrate", "seed", "staff", "copy-files", "openapi"])
def test_every_command_explains_itself(command: str) -> None:
    done = asked(*command.split(), "--help")
    assert done.returncode == 0
    assert "usage: python -m shop" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["seed", "--products", "-1"], ["seed", "--products", "many"], ["staff", "remove", "x"], ["sell"], []]
)
def test_a_request_that_makes_no_sense_gets_the_usage(arguments: list[str]) -> None:
    done = asked(*arguments, DATABASE_URL=NOWHERE)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [["migrate"], ["seed", "--products", "1"], ["staff", "add", "a@example.com"]], ids=lambda c: c[0]
)
def test_a_database_out_of_reach_is_one_line(command: list[str]) -> None:
    done = asked(*command, DATABASE_URL=NOWHERE)
    assert done.returncode == 1
    assert done.stderr.startswith("shop: ")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["postgresql:/a:s3cret@b/c", "postgresql://a:word@s3cret@b:c/d", "a:s3cret@b"])
def test_a_url_that_makes_no_sense_is_not_repeated(url: str) -> None:
    done = asked("migrate", "--url", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("shop: --url makes no sense; it has to be postgresql://user@host:port/name")
    assert "s3cret" not in done.stderr


def test_migrate_makes_a_schema_and_then_has_nothing_to_do(postgres: Postgres) -> None:
    postgres.sql("drop database if exists empty_shop; create database empty_shop")
    owner = postgres.url("empty_shop")
    first, second = (run("migrate", DATABASE_URL=owner) for run in (shop, asked))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "0001_shop.sql" in first.stdout
    assert "up to date" in second.stdout
    assert postgres.sql("select count(*) from products", database="empty_shop") == "0"
    postgres.sql("drop database empty_shop")


def test_somebody_new_becomes_staff_with_a_password_that_is_said_once(database_url: str) -> None:
    first = shop("staff", "add", "staff@example.com", DATABASE_URL=database_url)
    again = asked("staff", "add", "Staff@Example.com", DATABASE_URL=database_url)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    password = re.search(r"password: (\S{16,})", first.stdout)
    assert password is not None
    assert "password" not in again.stdout
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select email, is_staff, password_hash from users").fetchall()
    assert [row[:2] for row in rows] == [("staff@example.com", True)]
    assert rows[0][2].startswith("$argon2id$")
    assert password[1] not in rows[0][2]


def test_an_address_that_is_none_cannot_be_staff(database_url: str) -> None:
    done = asked("staff", "add", "nobody", DATABASE_URL=database_url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nobody" in done.stderr


def test_from_a_clone_the_commands_need_no_path() -> None:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "shop", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_api_describes_itself() -> None:
    done = shop("openapi")
    assert done.returncode == 0, done.stderr
    described = json.loads(done.stdout)
    assert described["openapi"].startswith("3.1")
    assert "/orders" in " ".join(described["paths"])


def test_copying_files_needs_a_bucket(database_url: str) -> None:
    done = asked("copy-files", DATABASE_URL=database_url)
    assert done.returncode == 2
    assert done.stderr.startswith("shop: FILES_BUCKET is missing")


# --- Serving ---


def test_every_line_of_the_log_is_json_and_names_what_happened(serve: Callable[..., Serving]) -> None:
    serving = serve()
    until(lambda: serving.status("/readyz") == 200)
    assert serving.status("/") == 200
    assert serving.status("/%0a%22quoted") == 404
    assert serving.process.stop() == 0
    messages = [line["message"] for line in serving.lines()]
    assert messages[-1] == "stopped"
    assert messages.count("open") == 2, "both workers"
    assert messages.count("request") == 2


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the watcher", "everybody, as systemd does"])
def test_a_request_in_flight_is_answered_before_the_shop_ends(
    serve: Callable[..., Serving], database_url: str, kill: Callable[[int, int], None]
) -> None:
    serving = serve(PROCESSES="1", DATABASE_POOL_TIMEOUT_MS="20000")
    until(lambda: serving.status("/readyz") == 200)
    answers: list[int] = []
    visitor = threading.Thread(target=lambda: answers.append(serving.status("/api/v1/products")))
    with psycopg.connect(database_url.replace("shop_app", "postgres")) as connection:
        connection.execute("lock table products")  # as slow as a request can be: it waits for us
        visitor.start()
        until(lambda: connection.execute("select 1 from pg_locks where not granted").fetchone())
        kill(serving.process.pid, signal.SIGTERM)
        until(lambda: serving.status("/healthz", timeout=2) == 0)  # nobody new is let in
        time.sleep(0.3)
        assert serving.process.running
        connection.rollback()
    visitor.join()
    assert answers == [200]
    assert serving.process.stop() == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sighup_reads_the_settings_again_and_no_request_fails(serve: Callable[..., Serving], processes: str) -> None:
    serving = serve(PROCESSES=processes, SHOP_NAME="before")
    until(lambda: serving.status("/readyz") == 200)
    answers: list[int] = []
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            answers.append(serving.status("/api/v1/products"))

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    before = serving.workers()
    for visitor in visitors:
        visitor.start()
    serving.write(SHOP_NAME="after")
    os.kill(serving.process.pid, signal.SIGHUP)
    until(lambda: len(serving.workers()) == int(processes) and not serving.workers() & before, seconds=40)
    time.sleep(0.5)
    done.set()
    for visitor in visitors:
        visitor.join()
    assert len(answers) > 20
    assert set(answers) == {200}
    names = [line["Environment"] for line in serving.said("request")]
    assert (names[0], names[-1]) == ("before", "after")


def test_settings_that_make_no_sense_do_not_end_a_running_shop(serve: Callable[..., Serving]) -> None:
    serving = serve()
    before = serving.workers()
    serving.write(DATABASE_POOL_MAX="none")
    os.kill(serving.process.pid, signal.SIGHUP)
    until(lambda: serving.said("the settings stay as they were"))
    assert "DATABASE_POOL_MAX is 'none'" in serving.said("the settings stay as they were")[0]["reason"]
    assert serving.workers() == before
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(serving.workers() - before) == 1)
    until(lambda: len(serving.said("open")) == len(before) + 1)  # with the settings that made sense
    assert serving.status("/healthz") == 200


def test_a_worker_that_is_killed_is_replaced(serve: Callable[..., Serving]) -> None:
    serving = serve()
    before = serving.workers()
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(serving.workers()) == 2 and min(before) not in serving.workers())
    until(lambda: serving.status("/readyz") == 200)


def test_a_port_that_is_taken_is_one_line_and_no_shop(serve: Callable[..., Serving], database_url: str) -> None:
    serving = serve()
    done = shop("serve", LISTEN=f"{LOOPBACK}:{serving.port}", DATABASE_URL=database_url)
    assert done.returncode == 1
    assert "Address already in use" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_shop_without_its_database_stays_in_service_and_opens_when_it_comes(
    serve: Callable[..., Serving], postgres: Postgres, database_url: str
) -> None:
    """A host is not replaced because its database is away, and it needs nobody when the database is back."""
    name = database_url.rpartition("/")[2]
    postgres.sql(f"alter database {name} rename to {name}_away")
    try:
        serving = serve()
        assert serving.status("/readyz") == 503
        assert serving.status("/") == 503
        assert serving.status("/healthz") == 200
    finally:
        postgres.sql(f"alter database {name}_away rename to {name}")
    until(lambda: all(serving.status("/readyz") == 200 for _ in range(6)))
    assert serving.status("/") == 200
