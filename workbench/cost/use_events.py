"""What background work adds to the bill: topics, queues, functions, streams, mails, logs and keys."""

from __future__ import annotations

from workbench.cost.part import Left, Part, Said, figure, product
from workbench.cost.traffic import Traffic
from workbench.templates.reading import Resource, items, yes
from workbench.usage import KIB_IN_GIB, LOG_KIB, MONTHS_KEPT

POLLS_A_MONTH = 5 * 3 * 60 * 730  # five pollers that wait 20 seconds each, also on an empty queue
REQUESTS_AN_EVENT = 3  # sent, received, deleted; batches fill only under load
KEY_CALLS = 2 * 12 * 730  # one to encrypt and one to decrypt every five minutes, as long as data keys are reused
JOB_SECONDS = 0.2
FIREHOSE_KIB = 5  # what each record counts at least
PACKED_LOGS = 0.15  # of what was taken in is what is kept


def topic(traffic: Traffic, topic: Resource) -> Said:
    events = traffic.published(topic)
    if events is None:
        yield Left("messages")
        return
    yield Part("events told", "SNS", "requests", events)
    subscriptions = traffic.system.users(topic, "AWS::SNS::Subscription", "TopicArn")
    if any(each.get("FilterPolicyScope") == "MessageBody" for each in subscriptions):
        yield Left("filters that read the body of events")


def queue(traffic: Traffic, queue: Resource) -> Said:
    events = traffic.queued.get(queue)
    if events is None:
        yield Left("requests")
        return
    idle = POLLS_A_MONTH if queue in traffic.polled else 0
    item = "FIFO requests" if yes(queue.get("FifoQueue")) else "requests"
    yield Part("events passed on", "SQS", item, events * REQUESTS_AN_EVENT + idle)


def function(traffic: Traffic, function: Resource) -> Said:
    events = traffic.handled.get(function)
    if events is None:
        yield Left("invocations and time")
        return
    memory = figure(function.get("MemorySize"), 128)
    kind = "arm64" if "arm64" in items(function.get("Architectures")) else "x86_64"
    yield Part("invocations", "Lambda", "requests", events)
    yield Part("time", "Lambda", f"duration {kind}", product(events * JOB_SECONDS / 1024, memory))
    if function.get("TracingConfig.Mode") == "Active":
        yield Left("traces")


def delivery(traffic: Traffic, stream: Resource) -> Said:
    events = traffic.events_reaching(stream)
    if events is None:
        yield Left("data taken in")
    else:
        yield Part("data taken in", "Firehose", "data taken in", events * FIREHOSE_KIB / KIB_IN_GIB)


def logs(traffic: Traffic, group: Resource) -> Said:
    writer = traffic.function_logs.get(group)
    if group is traffic.host_logs:
        lines: float | None = traffic.front_requests
    else:
        lines = traffic.handled.get(writer) if writer is not None else None
    if lines is None:
        yield Left("data taken in and kept")
        return
    gib = lines * LOG_KIB / KIB_IN_GIB
    months = figure(group.get("RetentionInDays"), MONTHS_KEPT * 730 / 24)
    yield Part("logs taken in", "CloudWatch", "logs ingestion", gib)
    kept = None if months is None else gib * PACKED_LOGS * months * 24 / 730
    yield Part("logs kept", "CloudWatch", "logs storage", kept)


def mail(traffic: Traffic, identity: Resource) -> Said:
    if traffic.system.of_type(identity.type) == [identity]:
        yield Part("confirmations", "SES", "mail, Essentials plan", traffic.usage.orders_a_month)
    else:
        yield Left("mails")


def key(traffic: Traffic, key: Resource) -> Said:
    busy = [*traffic.polled, *(each for each in traffic.system.of_type("AWS::SNS::Topic") if traffic.published(each))]
    encrypted = [each for each in busy if key in traffic.system.targets(each.get("KmsMasterKeyId"))]
    yield Part("requests for queues and topics", "KMS", "requests", len(encrypted) * KEY_CALLS)
    yield Left("requests for disks, files, tables and logs")
