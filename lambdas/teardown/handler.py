"""Called on a schedule in an environment with an end: deletes it when its time is over, and tells who must help."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

import boto3
from sweep import Report, Teardown

ENVIRONMENT, TOPIC = os.environ["ENVIRONMENT"], os.environ["TOPIC"]
# What is left of the function's time when waiting ends, so that the report still gets out.
RESERVE_SECONDS = 30
LONGEST_MESSAGE = 200_000  # of 256 KiB that SNS takes


def handler(_event: Any, context: Any) -> dict[str, Any]:
    """One pass. The stack that holds this function is the last one, and is not waited for."""
    report = Teardown(
        ENVIRONMENT,
        os.environ["AWS_REGION"],
        time_left=lambda: context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS,
    ).run(stay_for_last=False)
    print(json.dumps(asdict(report)))
    if report.refused or report.last_day:
        tell(report)
    return asdict(report)


def tell(report: Report) -> None:
    """Somebody has to remove what refuses to go, or it costs for ever; and may want to keep what is about to go."""
    news = f"{len(report.refused)} refused to go" if report.refused else "its last day has begun"
    boto3.client("sns").publish(
        TopicArn=TOPIC,
        Subject=f"Teardown of {ENVIRONMENT}: {news}"[:100],
        Message=report.text()[:LONGEST_MESSAGE],
    )
