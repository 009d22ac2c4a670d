"""The list of custom metrics against what is really sent: an alarm on a name that nobody sends stays quiet for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blueprint.metrics import CUSTOM_METRICS

AGENT = Path(__file__).parents[2] / "shop" / "host" / "amazon-cloudwatch-agent.json"


def listed(namespace: str) -> set[tuple[str, str]]:
    return {(metric.name, metric.unit) for metric in CUSTOM_METRICS if metric.namespace == namespace}


def test_there_is_no_third_sender() -> None:
    assert {metric.namespace for metric in CUSTOM_METRICS} == {"Shop", "ShopHost"}


def test_the_server_sends_exactly_the_metrics_on_the_list(start_shop: Callable[..., Any]) -> None:
    shop = start_shop(DATABASE_ACTIVE="host", DATABASE_HOST_ENDPOINT="10.20.0.7")
    shop.get("/")
    (line,) = shop.metric_lines(1)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    sent = {(metric["Name"], metric["Unit"]) for metric in directive["Metrics"]}
    assert sent
    assert sent == listed("Shop")
    assert directive["Namespace"] == "Shop"
    assert directive["Dimensions"] == [["Environment"]]
    assert line["Environment"] == "trial"
    assert all(isinstance(line[name], int | float) for name, _ in sent)
    assert isinstance(line["_aws"]["Timestamp"], int)


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
