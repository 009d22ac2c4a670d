"""A stand-in for the shop: a shallow health check, and one real query through the published endpoint.

Only the standard library: the query goes through the `psql` client that every host has. All it needs to know is in
its environment, which the boot script fills from the parameters under `/<name>/`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SETTINGS = os.environ
ENVIRONMENT = SETTINGS.get("SHOP_NAME", "local")
QUERY = "select now(), version()"
QUERY_SECONDS = 3  # a visitor has given up by then; PostgreSQL itself stops a second earlier
TOKEN_SECONDS = 600  # AWS accepts a token for 15 minutes
AT_ONCE = threading.BoundedSemaphore(8)  # more queries than this at the same time wait, but not long
METRICS = [("Requests", "Count"), ("Errors", "Count"), ("Latency", "Milliseconds")]


class UnavailableError(Exception):
    """The database gave no answer; the message is for the log, not for the visitor."""


class Token:
    """A password that AWS signs for a few minutes, kept for most of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = ""
        self._until = 0.0

    def get(self, host: str, port: str, user: str) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                who = ["--hostname", host, "--port", port, "--username", user]
                self._value = output(["aws", "rds", "generate-db-auth-token", *who], SETTINGS, seconds=10)
                self._until = time.monotonic() + TOKEN_SECONDS
            return self._value


TOKEN = Token()


def output(command: list[str], environment: Mapping[str, str], *, seconds: int) -> str:
    """What a command prints; it has to be quick."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=True)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(error.stderr.strip() or f"{command[0]} ended with {error.returncode}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {type(error).__name__}") from None
    return done.stdout.strip()


def connection() -> dict[str, str]:
    """How to reach the active database, in the words of libpq."""
    active = SETTINGS.get("DATABASE_ACTIVE", "managed")
    host = SETTINGS.get(f"DATABASE_{active.upper()}_ENDPOINT")
    if not host:
        raise UnavailableError(f"no endpoint is published for the database {active!r}")
    port = SETTINGS.get(f"DATABASE_{active.upper()}_PORT", "5432")
    user = SETTINGS.get("DATABASE_USER", "shop_app")
    signed = SETTINGS.get("DATABASE_AUTH", "iam" if active == "managed" else "password") == "iam"
    return {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": user,
        "PGDATABASE": SETTINGS.get("DATABASE_NAME", "shop"),
        "PGPASSWORD": TOKEN.get(host, port, user) if signed else SETTINGS.get("DATABASE_PASSWORD", ""),
        "PGSSLMODE": SETTINGS.get("DATABASE_SSLMODE", "require"),
        "PGCONNECT_TIMEOUT": "2",
        "PGOPTIONS": f"-c statement_timeout={(QUERY_SECONDS - 1) * 1000}",
    }


def ask_database() -> dict[str, str]:
    """One real query."""
    if not AT_ONCE.acquire(timeout=1):
        raise UnavailableError("too many queries at once")
    try:
        command = ["psql", "--no-psqlrc", "--no-align", "--tuples-only", "--field-separator=\t", "--command", QUERY]
        now, version = output(command, {**SETTINGS, **connection()}, seconds=QUERY_SECONDS).split("\t")
    finally:
        AT_ONCE.release()
    return {"now": now, "version": version}


def log(**fields: object) -> None:
    """One line of JSON."""
    print(json.dumps(fields), flush=True)


def log_request(*, status: int, milliseconds: float, **fields: object) -> None:
    """One line of JSON that CloudWatch also reads as metrics (embedded metric format)."""
    directive = {
        "Namespace": "Shop",
        "Dimensions": [["Environment"]],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in METRICS],
    }
    values = {"Requests": 1, "Errors": int(status >= 500), "Latency": round(milliseconds, 1)}
    header = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    log(_aws=header, Environment=ENVIRONMENT, **values, status=status, **fields)


class Shop(BaseHTTPRequestHandler):
    """Answers visitors and the load balancer."""

    timeout = 10  # for a visitor who sends slowly
    server_version, sys_version = "shop", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":  # shallow: a sick database must not take every host out of service
            self._answer(200, {"status": "ok"})
            return
        start = time.perf_counter()
        status, body, reason = self._page(path)
        with contextlib.suppress(OSError):  # the visitor has gone; what was asked still counts
            self._answer(status, body)
        trace = self.headers.get("X-Amzn-Trace-Id") or self.headers.get("X-Request-Id")
        milliseconds = (time.perf_counter() - start) * 1000
        log_request(status=status, milliseconds=milliseconds, path=path[:200], trace=trace, reason=reason)

    def _page(self, path: str) -> tuple[int, dict[str, str], str | None]:
        if path not in ("/", "/query"):
            return 404, {"error": "not found"}, None
        try:
            return 200, ask_database(), None
        except UnavailableError as error:
            return 503, {"error": "the database does not answer"}, str(error)
        except Exception as error:  # a bug is an answer and a metric too, never a broken connection
            return 500, {"error": "internal error"}, repr(error)

    def _answer(self, status: int, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 503:
            self.send_header("Retry-After", "5")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests have a line of their own."""


class Server(ThreadingHTTPServer):
    """Finishes what it has begun before it ends."""

    daemon_threads = False
    request_queue_size = 128


def main() -> None:
    host, _, port = SETTINGS.get("LISTEN", "127.0.0.1:8080").rpartition(":")
    with Server((host, int(port)), Shop) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        log(message="listening", address=host, port=server.server_address[1], environment=ENVIRONMENT)
        server.serve_forever(poll_interval=0.1)
    log(message="stopped", environment=ENVIRONMENT)


if __name__ == "__main__":
    main()
