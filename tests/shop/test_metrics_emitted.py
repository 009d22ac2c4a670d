"""The list of custom metrics against what is really sent: an alarm on a name that nobody sends stays quiet for ever."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from blueprint.metrics import CUSTOM_METRICS
from jobs.events import happened
from shop import observe
from shop.app import create
from shop.relay import Relay, connect
from shop.settings import Settings, load

LAMBDAS = Path(__file__).parents[2] / "lambdas"
AGENT = Path(__file__).parents[2] / "shop" / "host" / "amazon-cloudwatch-agent.json"


def listed(namespace: str) -> set[tuple[str, str]]:
    return {(metric.name, metric.unit) for metric in CUSTOM_METRICS if metric.namespace == namespace}


def test_every_sender_has_a_namespace_of_its_own() -> None:
    """The archive's is compared in test_archive.py, where it is made to fail; the workers' in tests/lambdas."""
    assert {metric.namespace for metric in CUSTOM_METRICS} == {"Shop", "ShopHost", "ShopArchive", "ShopWorkers"}


async def every_minute_of_a_shop(settings: Settings) -> None:
    """A request, a look at what is used, a job that fails and an outbox: all that the shop ever measures."""
    shop = create(settings)
    async with shop.router.lifespan_context(shop):
        transport = httpx.ASGITransport(shop)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example.com") as visitor:
            assert (await visitor.get("/healthz")).status_code == 200
            assert (await visitor.get("/api/v1/products")).status_code == 200
        await shop.state.shop.work.do(happened("image.uploaded", product_id=1, image_id=uuid4()), None)
        await asyncio.sleep(0.6)


@pytest.mark.slow
def test_the_shop_sends_exactly_the_metrics_on_the_list(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "MINUTE", 0.3)
    variables = {"DATABASE_URL": database_url, "FILES_FOLDER": str(tmp_path), "SHOP_NAME": "trial"}
    asyncio.run(every_minute_of_a_shop(load(variables)))
    outside = {"EVENTS_TOPIC": "arn:aws:sns:us-east-1:1:events", "FILES_BUCKET": "files"}
    relay = Relay(load({**variables, **outside}))
    with connect(load(variables)) as connection:
        relay.report(connection)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    measured = [line for line in lines if "_aws" in line]
    sent = set()
    for line in measured:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        names = {(metric["Name"], metric["Unit"]) for metric in directive["Metrics"]}
        assert directive["Namespace"] == "Shop"
        assert directive["Dimensions"] == [["Environment"]]
        assert line["Environment"] == "trial"
        assert all(isinstance(line[name], int | float) for name, _ in names), "CloudWatch drops what has no value"
        assert isinstance(line["_aws"]["Timestamp"], int)
        sent |= names
    assert sent
    assert sent == listed("Shop")
    assert [line["path"] for line in measured if "path" in line] == ["/api/v1/products"], "health checks are left out"


def test_the_agent_sends_exactly_the_metrics_on_the_list() -> None:
    metrics = json.loads(AGENT.read_text())["metrics"]
    sent = {name for part in metrics["metrics_collected"].values() for name in part["measurement"]}
    assert sent
    # The agent's own unit for both is percent.
    assert {(name, "Percent") for name in sent} == listed("ShopHost")
    assert metrics["namespace"] == "ShopHost"


def test_what_the_agent_sends_has_the_environment_as_its_only_dimension() -> None:
    configuration = json.loads(AGENT.read_text())
    metrics = configuration["metrics"]
    assert configuration["agent"]["omit_hostname"] is True
    assert metrics["aggregation_dimensions"] == [["Environment"]]
    for part in metrics["metrics_collected"].values():
        assert part["append_dimensions"] == {"Environment": "@NAME@"}
    # A disk has a path of its own, so it is rolled up and the original dropped. Memory has none: there is no
    # roll-up to fewer dimensions, and dropping the original would leave nothing.
    assert metrics["metrics_collected"]["disk"]["drop_original_metrics"] == ["disk_used_percent"]
    assert "drop_original_metrics" not in metrics["metrics_collected"]["mem"]


def test_the_workers_count_exactly_the_outcomes_on_the_list() -> None:
    """What each count becomes in the log is tested beside the jobs; here it is who counts what."""
    sources = [path.read_text(encoding="utf-8") for path in LAMBDAS.glob("*/*.py")]
    counted = {(name, "Count") for source in sources for name in re.findall(r'\bcount\("(\w+)"\)', source)}
    assert counted == listed("ShopWorkers")
