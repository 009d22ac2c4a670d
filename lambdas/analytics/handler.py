"""Passes events on to the analytics stream."""

from __future__ import annotations

import os

from jobs import analytics
from jobs.aws import client
from jobs.batch import for_each_event
from jobs.events import Event


def pass_on(event: Event) -> None:
    # One call for one event: what the stream does not take comes again alone. Whatever arrives twice has the same id.
    client("firehose").put_record(DeliveryStreamName=os.environ["STREAM"], Record={"Data": analytics.record(event)})


handler = for_each_event(pass_on)
