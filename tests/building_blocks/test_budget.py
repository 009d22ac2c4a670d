"""The budget: a monthly limit, and a message before and when it is in danger."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest

from building_blocks.budget import Budget
from tests.building_blocks.alone import ForeignApp, only, synth_alone

TOPIC = "arn:aws:sns:eu-west-1:111111111111:their-alerts"


def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
    Budget(stack, "Budget", name="trial", usd=500, alerts=theirs.alerts)


@pytest.fixture(scope="module")
def budget() -> dict[str, Any]:
    return only(synth_alone(build), "AWS::Budgets::Budget")


def test_the_limit_is_for_a_month_in_dollars(budget: dict[str, Any]) -> None:
    assert budget["Budget"] == {
        "BudgetName": "trial-monthly",
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": 500, "Unit": "USD"},
    }


@pytest.mark.parametrize(("kind", "percent"), [("ACTUAL", 80), ("FORECASTED", 100)])
def test_the_topic_hears_of_it(budget: dict[str, Any], kind: str, percent: int) -> None:
    [notice] = [
        notice
        for notice in budget["NotificationsWithSubscribers"]
        if notice["Notification"]["NotificationType"] == kind
    ]
    assert notice["Notification"]["Threshold"] == percent
    assert notice["Notification"]["ThresholdType"] == "PERCENTAGE"
    assert notice["Notification"]["ComparisonOperator"] == "GREATER_THAN"
    assert notice["Subscribers"] == [{"SubscriptionType": "SNS", "Address": TOPIC}]
