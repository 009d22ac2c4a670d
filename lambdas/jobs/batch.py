"""The loop of every job. Each message for itself is done, set aside with a reason, or comes again later."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from jobs.aws import client
from jobs.events import Event, Later, Refused, decode

Handler = Callable[[dict[str, Any], Any], Any]

SHORTEST_WAIT = 10  # doubled with each attempt
LARGEST_MESSAGE = 256 * 1024
LARGEST_REASON = 256
# SQS refuses to be sent any other character.
UNSENDABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

logger = Logger()
# All jobs together: each queue has its own figures from SQS, and every further dimension would be another paid metric.
metrics = Metrics(namespace="ShopWorkers", service="")


@dataclass(frozen=True)
class Message:
    """One message of the job's queue, as it came this time."""

    body: str
    receives: int
    context: Any

    def event(self) -> Event:
        """What happened; from here on the log names it."""
        event = decode(self.body)
        logger.append_keys(event=event.id, type=event.type, trace=event.trace)
        return event

    def seconds_left(self) -> float:
        """Until this invocation is stopped, whatever it is doing."""
        return float(self.context.get_remaining_time_in_millis()) / 1000

    def put_back(self, seconds: int) -> None:
        """Send the same again for later: unlike a failed attempt, this one does not count."""
        client("sqs").send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=self.body, DelaySeconds=seconds)


def for_each_event(work: Callable[[Event], None]) -> Handler:
    """A Lambda handler that does `work` for each event of a batch.

    Refused sets its message aside at once, with the reason. Any other exception brings it back later, and no other.
    """
    return for_each_message(lambda message: work(message.event()))


def for_each_message(work: Callable[[Message], None]) -> Handler:
    """The same for a job that has to know more about the delivery than the event."""

    def attend(record: SQSRecord, lambda_context: Any) -> None:
        message = Message(record.body, int(record.attributes.approximate_receive_count or 1), lambda_context)
        logger.append_keys(message_id=record.message_id, receives=message.receives)
        try:
            attempt(work, message)
        except Exception as error:
            come_later(record.receipt_handle, message.receives, error)
            raise
        finally:
            logger.remove_keys(["message_id", "receives", "event", "type", "trace"])

    def handler(batch: dict[str, Any], context: Any) -> Any:
        metrics.set_default_dimensions(Environment=os.environ["SHOP_NAME"])
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        failed = process_partial_response(batch, attend, processor, context)
        metrics.flush_metrics()
        return failed

    return traced(handler)


def attempt(work: Callable[[Message], None], message: Message) -> None:
    try:
        work(message)
        count("Done")
        logger.info("done")
    except Refused as refused:
        set_aside(message.body, str(refused))
        count("Refused")
        logger.error("set aside", reason=str(refused))


def set_aside(body: str, reason: str) -> None:
    """Into the job's dead-letter queue. Only that something can be sent there makes it safe to call it dealt with."""
    body = UNSENDABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", body) or "(empty)"
    # No event is nearly this large, so what is cut off here was never one. Attributes count too.
    body = body.encode()[: LARGEST_MESSAGE - 4 * LARGEST_REASON - 1024].decode(errors="ignore")
    printable = "".join(letter if letter.isprintable() else "?" for letter in reason)[:LARGEST_REASON] or "(no reason)"
    texts = {"reason": printable, "job": os.environ["POWERTOOLS_SERVICE_NAME"]}
    client("sqs").send_message(
        QueueUrl=os.environ["DEAD_LETTERS_URL"],
        MessageBody=body,
        MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in texts.items()},
    )


def come_later(receipt: str, receives: int, error: Exception) -> None:
    """Wait longer after each attempt, not all messages equally long, and at least as long as the error asks for."""
    count("Failed")
    wait = random.uniform(0.5, 1) * SHORTEST_WAIT * 2**receives
    if isinstance(error, Later):
        wait = max(wait, error.seconds)
        logger.warning("later", reason=str(error))
    else:
        logger.exception("failed")
    try:
        client("sqs").change_message_visibility(
            QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=receipt, VisibilityTimeout=int(wait) + 1
        )
    except Exception:
        # Then it stays hidden for as long as the queue says.
        logger.warning("could not choose when it comes again", exc_info=True)


def document(event: Event) -> Any:
    """The facts of an event. They lie there before the event is told, so one that is missing will still come."""
    answer = client("s3").get_object(Bucket=os.environ["FILES_BUCKET"], Key=event.document_key)
    try:
        return json.loads(answer["Body"].read())
    except (ValueError, RecursionError):
        raise Refused("the document is not JSON") from None


def count(name: str) -> None:
    metrics.add_metric(name, "Count", 1)


def traced(handler: Handler) -> Handler:
    """With a span for each call of AWS; only where the tracing daemon is, since its library is slow to import."""
    if "LAMBDA_TASK_ROOT" not in os.environ:
        return handler
    from aws_lambda_powertools import Tracer

    tracer = Tracer(patch_modules=("botocore",))
    return tracer.capture_lambda_handler(handler, capture_response=False, capture_error=False)
