"""Lines of the log: JSON, each with its trace, and some of them metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import time
from typing import Any

import pytest

from jobs.events import happened
from shop import observe


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "environment", "trial")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("text", ["plain", 'with "quotes"', "two\nlines", "\u2028 and \x00", "日本"])
def test_whatever_is_said_stays_one_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    observe.log(text, where=text)
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert json.loads(written) == {"level": "info", "message": text, "where": text}


def test_a_line_names_the_request_that_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    mark = observe.trace.set("Root=1-abc")
    observe.log("inside")
    observe.trace.reset(mark)
    observe.log("outside")
    inside, outside = lines(capsys)
    assert inside["trace"] == "Root=1-abc"
    assert "trace" not in outside


def test_a_measurement_is_what_cloudwatch_reads_as_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    observe.measure("request", observe.REQUEST, {"Requests": 1, "Errors": 0, "Latency": 12.5}, status=200)
    (line,) = lines(capsys)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Shop"
    assert directive["Dimensions"] == [["Environment"]]
    assert {metric["Name"] for metric in directive["Metrics"]} <= set(line), "CloudWatch drops a metric without a value"
    assert (line["Environment"], line["Latency"], line["status"]) == ("trial", 12.5, 200)
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 5


def test_a_failed_job_is_counted_and_told_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    event = happened("product.changed", product_id=7)
    try:
        raise OSError("no room left")
    except OSError as error:
        observe.job_failed("search", event, error)
    (line,) = lines(capsys)
    assert (line["JobFailures"], line["job"], line["event"], line["level"]) == (1, "search", event.id, "error")
    assert "no room left" in line["error"]
    assert "test_observe.py" in line["traceback"]


def test_what_libraries_log_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.root.handlers[:], logging.root.level
    logging.config.dictConfig(observe.LOGGING)
    try:
        logging.getLogger("some.library").warning("lost %s", "a connection")
        try:
            raise ValueError("deep")
        except ValueError:
            logging.getLogger("some.library").exception("and again")
        logging.getLogger("some.library").info("chatter")
    finally:
        logging.root.handlers, logging.root.level = before
    first, second = lines(capsys)
    assert first == {"level": "warning", "message": "lost a connection", "logger": "some.library"}
    assert "ValueError: deep" in second["traceback"]


def test_the_gauges_tell_the_worst_of_their_minute_and_then_begin_again(capsys: pytest.CaptureFixture[str]) -> None:
    load = observe.Load()
    gauges = {"PoolUsed": 2.0, "PoolWaiting": 5.0, "CacheBreakerOpen": 1.0, "ReplicaFallbacks": 3.0}

    async def story() -> None:
        watching = asyncio.create_task(load.watch(lambda: gauges, period=0.6))
        await asyncio.sleep(0.05)
        for _ in range(7):
            load.begin()
        for _ in range(6):
            load.end()
        time.sleep(0.4)  # noqa: ASYNC251: this is what a busy event loop looks like
        await asyncio.sleep(1.6)
        watching.cancel()

    asyncio.run(story())
    first, second, *_ = lines(capsys)
    assert (first["PoolUsed"], first["PoolWaiting"], first["CacheBreakerOpen"]) == (2, 5, 1)
    assert (first["InFlight"], second["InFlight"]) == (7, 1)
    assert first["EventLoopLag"] > 150
    assert second["EventLoopLag"] < first["EventLoopLag"]
    assert first["gauges"] == gauges, "what is no metric can still be read"
