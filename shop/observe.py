"""What the shop says about itself: lines of JSON, some of which CloudWatch also reads as metrics.

RED comes from each request (requests, errors, duration), USE once a minute from each process (utilisation, saturation,
errors of what it uses). The log agent ships the lines anyway, so metrics need no collector and no connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from jobs.events import Event

NAMESPACE = "Shop"
COUNT, MILLISECONDS, SECONDS = "Count", "Milliseconds", "Seconds"
REQUEST = {"Requests": COUNT, "Errors": COUNT, "Latency": MILLISECONDS}
USE = {
    "PoolUsed": COUNT,
    "PoolWaiting": COUNT,
    "CacheBreakerOpen": COUNT,
    "InFlight": COUNT,
    "EventLoopLag": MILLISECONDS,
}
JOB = {"JobFailures": COUNT}
RELAY = {"OutboxAge": SECONDS}

MINUTE = 60.0
TICK = 0.25

environment = "local"  # the one dimension of every metric; set when a process knows its settings
trace: ContextVar[str] = ContextVar("trace", default="")


def log(message: str, *, level: str = "info", **fields: object) -> None:
    """One line of JSON; written at once, so that lines of several processes never mix."""
    about = {"trace": trace.get()} if trace.get() else {}
    line = {"level": level, "message": message, **about, **fields}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


def measure(
    message: str, units: Mapping[str, str], values: Mapping[str, float], *, level: str = "info", **fields: object
) -> None:
    """A line that is also a value of each of these metrics (embedded metric format)."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Environment"]],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
    }
    header = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    log(message, level=level, **{**fields, **values, "Environment": environment, "_aws": header})


def reason(error: BaseException) -> dict[str, str]:
    """An error as fields of a line."""
    return {"error": repr(error)[:500], "traceback": "".join(traceback.format_exception(error))[-8000:]}


def job_failed(job: str, event: Event, error: Exception) -> None:
    measure("a job failed", JOB, {"JobFailures": 1}, level="error", job=job, event=event.id, **reason(error))


class Lines(logging.Formatter):
    """What libraries log, as the same kind of line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"level": record.levelname.lower(), "message": record.getMessage()}
        if trace.get():
            line["trace"] = trace.get()
        if record.exc_info and record.exc_info[1]:
            line |= reason(record.exc_info[1])
        return json.dumps({**line, "logger": record.name})


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "shop.observe.Lines"}},
    "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stdout"}},
    "root": {"level": "WARNING", "handlers": ["lines"]},
    "loggers": {"uvicorn.error": {"level": "INFO"}},
}


class Load:
    """How busy this process is: requests in flight now, and the worst of the last minute."""

    def __init__(self) -> None:
        self.in_flight = self._most = 0
        self._lag = 0.0

    def begin(self) -> None:
        self.in_flight += 1
        self._most = max(self._most, self.in_flight)

    def end(self) -> None:
        self.in_flight -= 1

    async def watch(self, gauges: Callable[[], Mapping[str, float]], period: float) -> None:
        """Without end: how late the event loop runs what is due, and every `period` what all this is used for."""
        due = time.monotonic() + period
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            now = time.monotonic()
            self._lag = max(self._lag, now - before - TICK)
            if now >= due:
                due = now + period
                self._report(gauges())

    def _report(self, gauges: Mapping[str, float]) -> None:
        values = {
            "InFlight": self._most,
            "EventLoopLag": round(self._lag * 1000, 1),
            **{name: gauges[name] for name in USE if name in gauges},
        }
        measure("use", USE, values, gauges=dict(gauges))
        self._most, self._lag = self.in_flight, 0.0
