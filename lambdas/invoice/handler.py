"""Makes the invoice of a placed order, and puts it where the shop finds it.

It remembers nothing of what it did: a repetition writes the same bytes under the same key.
"""

from __future__ import annotations

import os

from jobs import invoice
from jobs.aws import client
from jobs.batch import document, for_each_event
from jobs.events import Event, Refused


def bill(event: Event) -> None:
    facts, order_id = document(event), event.ids["order_id"]
    pdf = invoice.render(facts)
    if facts["order"]["id"] != order_id:
        raise Refused("the document is about another order")
    client("s3").put_object(
        Bucket=os.environ["FILES_BUCKET"], Key=invoice.key(order_id), Body=pdf, ContentType="application/pdf"
    )


handler = for_each_event(bill)
