"""The stand-in server, asked over the network; its `psql` is a stub, so what is tested is how the database is asked."""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[2] / "shop" / "server.py"
ON_HOST = {"DATABASE_ACTIVE": "host", "DATABASE_HOST_ENDPOINT": "10.20.0.7", "DATABASE_PASSWORD": "secret"}
MANAGED = {
    "DATABASE_ACTIVE": "managed",
    "DATABASE_MANAGED_ENDPOINT": "db.example.internal",
    "DATABASE_MANAGED_PORT": "5433",
}
REFUSED = '#!/bin/bash\necho "psql: error: connection refused" >&2\nexit 2\n'
SLOW = "#!/bin/bash\nexec sleep 30\n"
HALF_A_SECOND = "#!/bin/bash\nsleep 0.5\nprintf 'now\\tversion\\n'\n"

Start = Callable[..., Any]


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SERVER.read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", ["/", "/query", "/query?page=2"])
def test_a_page_is_one_real_query(start_shop: Start, path: str) -> None:
    shop = start_shop(**ON_HOST)
    assert shop.get(path) == (200, {"now": "2026-01-01 00:00:00+00", "version": "PostgreSQL 17.6"})
    assert "select now(), version()" in shop.note("psql-arguments")


def test_the_database_on_the_host_is_asked_with_tls_and_its_password(start_shop: Start) -> None:
    shop = start_shop(**ON_HOST)
    shop.get("/")
    assert shop.note("psql-environment").splitlines() == [
        "PGCONNECT_TIMEOUT=2",
        "PGDATABASE=shop",
        "PGHOST=10.20.0.7",
        "PGOPTIONS=-c statement_timeout=2000",
        "PGPASSWORD=secret",
        "PGPORT=5432",
        "PGSSLMODE=require",
        "PGUSER=shop_app",
    ]


def test_the_managed_database_is_asked_with_a_token_that_is_kept(start_shop: Start) -> None:
    shop = start_shop(**MANAGED)
    for _ in range(3):
        assert shop.get("/")[0] == 200
    asked = shop.note("psql-environment").splitlines()
    assert {"PGHOST=db.example.internal", "PGPORT=5433", "PGPASSWORD=signed-token"} <= set(asked)
    assert shop.note("aws-arguments").splitlines() == [
        "rds generate-db-auth-token --hostname db.example.internal --port 5433 --username shop_app"
    ]


def test_the_kind_of_login_can_be_said(start_shop: Start) -> None:
    shop = start_shop(**MANAGED, DATABASE_AUTH="password", DATABASE_PASSWORD="plain")
    shop.get("/")
    assert "PGPASSWORD=plain" in shop.note("psql-environment").splitlines()


@pytest.mark.parametrize(
    ("settings", "psql", "reason"),
    [
        (ON_HOST, REFUSED, "psql: error: connection refused"),
        (ON_HOST, SLOW, "psql: TimeoutExpired"),
        ({"DATABASE_ACTIVE": "managed"}, REFUSED, "no endpoint is published for the database 'managed'"),
    ],
)
def test_a_database_without_an_answer_is_a_503_and_an_error(
    start_shop: Start, settings: dict[str, str], psql: str, reason: str
) -> None:
    shop = start_shop(psql, **settings)
    began = time.monotonic()
    assert shop.get("/") == (503, {"error": "the database does not answer"})
    assert time.monotonic() - began < 10
    (line,) = shop.metric_lines(1)
    assert (line["Requests"], line["Errors"], line["status"]) == (1, 1, 503)
    assert line["reason"] == reason


def test_an_answer_that_makes_no_sense_is_a_500_and_an_error(start_shop: Start) -> None:
    shop = start_shop("#!/bin/bash\necho nonsense\n", **ON_HOST)
    assert shop.get("/")[0] == 500
    assert shop.metric_lines(1)[0]["Errors"] == 1


def test_health_does_not_depend_on_the_database_and_is_no_request(start_shop: Start) -> None:
    shop = start_shop(REFUSED)
    for _ in range(3):
        assert shop.get("/healthz") == (200, {"status": "ok"})
    assert shop.get("/nowhere")[0] == 404
    lines = shop.metric_lines(1)
    assert [line["path"] for line in lines] == ["/nowhere"]
    assert lines[0]["Errors"] == 0, "what a visitor mistypes is not our error"


def test_a_line_says_which_request_it_was_and_how_long_it_took(start_shop: Start) -> None:
    shop = start_shop(HALF_A_SECOND, **ON_HOST)
    shop.get("/", {"X-Amzn-Trace-Id": "Root=1-abc"})
    (line,) = shop.metric_lines(1)
    assert line["trace"] == "Root=1-abc"
    assert line["Environment"] == "trial"
    assert 500 <= line["Latency"] < 3000


def test_it_finishes_what_it_has_begun_before_it_ends(start_shop: Start) -> None:
    shop = start_shop(HALF_A_SECOND, **ON_HOST)
    answers: list[int] = []
    visitors = [threading.Thread(target=lambda: answers.append(shop.get("/")[0])) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    time.sleep(0.2)
    assert shop.stop() == 0
    for visitor in visitors:
        visitor.join()
    assert answers == [200] * 4
    assert shop.lines()[-1]["message"] == "stopped"


def test_every_line_of_its_log_is_json(start_shop: Start) -> None:
    shop = start_shop(**ON_HOST)
    shop.get("/")
    shop.get("/%0a%22quoted")
    shop.stop()
    assert len(shop.lines()) == 4  # parsing them is the test
