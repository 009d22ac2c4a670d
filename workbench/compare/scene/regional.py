"""What stands outside private networks: the edge, messaging with its workers, stores, and what everything uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from workbench.compare.scene.inside import firewall
from workbench.compare.scene.model import Fact, Node, Place
from workbench.compare.scene.reading import Reading, called, id_of, key_of, keys_of, plural, text
from workbench.templates import Key
from workbench.templates.reading import Resource, dig, items

USERS = "users"
DNS = "dns"
WORKERS = "workers"
APIS = ("AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api", "AWS::AppSync::GraphQLApi")
QUEUE, FUNCTION, TOPIC, BUCKET = "AWS::SQS::Queue", "AWS::Lambda::Function", "AWS::SNS::Topic", "AWS::S3::Bucket"
MAPPING, SUBSCRIPTION = "AWS::Lambda::EventSourceMapping", "AWS::SNS::Subscription"
TABLES = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")


@dataclass(frozen=True)
class Shared:
    """What everything uses: drawn as one card, with a count of what it stands for."""

    icon: str
    title: str
    counted: Mapping[str, str]  # type -> what one of them is called
    also: tuple[str, ...] = ()  # types that belong to it without being counted


SHARED = (
    Shared("key", "KMS", {"AWS::KMS::Key": "key"}, ("AWS::KMS::Alias",)),
    Shared("secret", "Secrets", {"AWS::SecretsManager::Secret": "secret"}, ("AWS::SecretsManager::RotationSchedule",)),
    Shared("certificate", "Certificates", {"AWS::CertificateManager::Certificate": "certificate"}),
    Shared(
        "monitoring",
        "CloudWatch",
        {"AWS::CloudWatch::Alarm": "alarm", "AWS::CloudWatch::Dashboard": "dashboard"},
        ("AWS::Logs::LogGroup", "AWS::CloudWatch::CompositeAlarm"),
    ),
    Shared(
        "backup",
        "Backup",
        {"AWS::Backup::BackupPlan": "plan", "AWS::Backup::BackupVault": "vault"},
        ("AWS::Backup::BackupSelection",),
    ),
)


def regional(reading: Reading) -> Iterator[Node]:
    """Everything outside networks, in the order of the picture."""
    yield from _edge(reading)
    logs = _log_buckets(reading)
    alerts = [topic for topic in reading.of(TOPIC) if _tells_people(reading, topic)]
    yield from _messaging(reading, {key_of(topic) for topic in alerts})
    yield from _services(reading, {key_of(bucket) for bucket in logs})
    yield from _operations(reading, alerts, logs)


def _facts(**told: str) -> tuple[Fact, ...]:
    return tuple(Fact(about, said) for about, said in told.items() if said)


# --- the edge --------------------------------------------------------------------------------------------------------


def _edge(reading: Reading) -> Iterator[Node]:
    records = reading.of("AWS::Route53::RecordSet", "AWS::Route53::RecordSetGroup")
    if records:
        zones = reading.of("AWS::Route53::HostedZone")
        names = sorted(
            {text(record.get("Name")).rstrip(".") for record in records} - {""}, key=lambda name: (len(name), name)
        )
        facts = _facts(domain=names[0] if names else "")
        yield Node(DNS, ("dns",), "Route 53", Place.EDGE, facts, keys_of([*records, *zones]))
    for cdn in reading.of("AWS::CloudFront::Distribution"):
        own = [cdn, *(each for each in reading.targets(cdn) if each.type.startswith("AWS::CloudFront::"))]
        own += reading.users_of(cdn, "AWS::CloudFront::MonitoringSubscription")
        acl = reading.first(cdn, "DistributionConfig.WebACLId", "AWS::WAFv2::WebACL")
        facts = _facts(
            name=called(cdn),
            behaviours=plural(1 + len(items(cdn.get("DistributionConfig.CacheBehaviors"))), "behaviour"),
        )
        guard = firewall(reading, acl) if acl else None
        yield Node(id_of(cdn), ("cdn",), "CloudFront", Place.EDGE, facts, keys_of(own), guard=guard)
    for api in reading.of(*APIS):
        parts = [
            part for part in reading.users.get(key_of(api), ()) if part.type.startswith(api.type.rpartition("::")[0])
        ]
        kind = "GraphQL API" if "AppSync" in api.type else "API Gateway"
        name = called(api)
        yield Node(id_of(api), ("api",), kind, Place.EDGE, _facts(called=name), keys_of([api, *parts]))


# --- messaging -------------------------------------------------------------------------------------------------------


def _messaging(reading: Reading, alerts: set[Key]) -> Iterator[Node]:
    for topic in reading.of(TOPIC):
        if key_of(topic) not in alerts:
            own = [topic, *reading.users_of(topic, SUBSCRIPTION, "AWS::SNS::TopicPolicy")]
            yield Node(id_of(topic), ("topic",), called(topic), Place.MESSAGING, _facts(kind="SNS topic"), keys_of(own))
    pairs = _pairs(reading)
    nodes = [_pair(reading, queue, function) for queue, function in pairs]
    if len(nodes) > 1:
        title = f"{plural(len(nodes), 'queue')} and workers"
        facts = (
            _facts(letters="each with dead letters") if all(_dead_letters(reading, queue) for queue, _ in pairs) else ()
        )
        yield Node(WORKERS, ("queue",), title, Place.MESSAGING, facts, (), members=tuple(nodes))
    else:
        yield from nodes
    for rule in reading.of("AWS::Events::Rule", "AWS::Scheduler::Schedule"):
        when = text(rule.get("ScheduleExpression"))
        if when or _calls_something(reading, rule):
            facts = _facts(when=when or "on events")
            yield Node(id_of(rule), ("events",), called(rule), Place.MESSAGING, facts, keys_of([rule]))
    drawn = {key for node in nodes for key in node.keys} | _helpers(reading)
    letters = {key_of(each) for queue in reading.of(QUEUE) for each in _dead_letters(reading, queue)}
    letters |= {
        key_of(each)
        for one in reading.of(FUNCTION)
        for each in reading.reached(one, QUEUE)
        if _is_letters(one, each, reading)
    }
    for queue in reading.of(QUEUE):
        if key_of(queue) not in drawn | letters:
            own = [queue, *_dead_letters(reading, queue), *reading.users_of(queue, "AWS::SQS::QueuePolicy")]
            facts = _facts(kind="FIFO queue" if queue.get("FifoQueue") else "queue")
            yield Node(id_of(queue), ("queue",), called(queue), Place.MESSAGING, facts, keys_of(own))
    for stream in reading.of("AWS::Kinesis::Stream"):
        facts = _facts(
            kind="stream",
            shards=plural(int(count), "shard") if (count := text(stream.get("ShardCount"))).isdigit() else "",
        )
        yield Node(id_of(stream), ("stream",), called(stream), Place.MESSAGING, facts, keys_of([stream]))
    for machine in reading.of("AWS::StepFunctions::StateMachine"):
        yield Node(
            id_of(machine),
            ("steps",),
            called(machine),
            Place.MESSAGING,
            _facts(kind="Step Functions"),
            keys_of([machine]),
        )
    for function in reading.of(FUNCTION, "AWS::Serverless::Function"):
        if key_of(function) not in drawn:
            own = [function, *reading.users_of(function, MAPPING, "AWS::Lambda::Permission")]
            facts = (*_facts(kind="function"), *_memory(function))
            yield Node(id_of(function), ("function",), called(function), Place.MESSAGING, facts, keys_of(own))


def _is_letters(function: Resource, queue: Resource, reading: Reading) -> bool:
    return reading.first(function, "DeadLetterConfig.TargetArn", QUEUE) is queue


def _pairs(reading: Reading) -> list[tuple[Resource, Resource]]:
    """Queues with the one function that works on them."""
    links = [
        (queue, function)
        for mapping in reading.of(MAPPING)
        if (queue := reading.first(mapping, "EventSourceArn", QUEUE))
        and (function := reading.first(mapping, "FunctionName", FUNCTION))
    ]
    queues, functions = [queue for queue, _ in links], [function for _, function in links]
    alone = [pair for pair in links if queues.count(pair[0]) == 1 and functions.count(pair[1]) == 1]
    return sorted(alone, key=lambda pair: pair[1].name)


def _pair(reading: Reading, queue: Resource, function: Resource) -> Node:
    mappings = reading.users_of(function, MAPPING)
    own = [queue, function, *_dead_letters(reading, queue), *mappings]
    own += reading.users_of(queue, "AWS::SQS::QueuePolicy")
    own += reading.users_of(queue, SUBSCRIPTION)
    at_once = next((text(mapping.get("ScalingConfig.MaximumConcurrency")) for mapping in mappings), "")
    title = called(function)
    facts = _facts(
        queue=""
        if title.lower() in called(queue).lower() or queue.name.startswith(function.name.partition("/")[0])
        else f"from {called(queue)}",
        size=", ".join(part for part in (_megabytes(function), f"{at_once} at once" if at_once else "") if part),
    )
    return Node(id_of(function), ("queue", "function"), title, Place.MESSAGING, facts, _worker_first(own, function))


def _worker_first(own: Iterable[Resource], function: Resource) -> tuple[Key, ...]:
    return keys_of([function, *own])


def _megabytes(function: Resource) -> str:
    size = text(function.get("MemorySize"))
    return f"{size} MB" if size else ""


def _memory(function: Resource) -> tuple[Fact, ...]:
    return _facts(size=_megabytes(function))


def _dead_letters(reading: Reading, queue: Resource) -> list[Resource]:
    return [each for each in reading.system.targets(queue.get("RedrivePolicy")) if each.type == QUEUE]


def _helpers(reading: Reading) -> set[Key]:
    """Functions that templates use for themselves: they rotate secrets, or stand behind custom resources."""
    found = {
        key_of(each)
        for schedule in reading.of("AWS::SecretsManager::RotationSchedule")
        for each in reading.reached(schedule, FUNCTION)
    }
    for resource in reading.system.resources:
        if "ServiceToken" in resource.properties:
            found |= {key_of(each) for each in reading.system.targets(resource.get("ServiceToken"))}
    return found


def _tells_people(reading: Reading, topic: Resource) -> bool:
    """Whether a topic is for those who run the system: alarms go there, or nothing but mail leaves it."""
    protocols = {text(one.get("Protocol")) for one in reading.users_of(topic, SUBSCRIPTION)}
    protocols |= {text(dig(one, "Protocol")) for one in items(topic.get("Subscription"))}
    if protocols & {"sqs", "lambda", "firehose", "http", "https"}:
        return False
    told = ("AWS::CloudWatch::Alarm", "AWS::Budgets::Budget", "AWS::AutoScaling::AutoScalingGroup")
    return bool(protocols & {"email", "email-json", "sms"} or reading.users_of(topic, *told))


def _calls_something(reading: Reading, rule: Resource) -> bool:
    return any(target.type in (FUNCTION, QUEUE, "AWS::StepFunctions::StateMachine") for target in reading.targets(rule))


# --- stores and services ---------------------------------------------------------------------------------------------


def _services(reading: Reading, logs: set[Key]) -> Iterator[Node]:
    for bucket in reading.of(BUCKET):
        if key_of(bucket) not in logs:
            own = [bucket, *reading.users_of(bucket, "AWS::S3::BucketPolicy")]
            kept = "versioned" if bucket.get("VersioningConfiguration.Status") == "Enabled" else ""
            facts = _facts(kind=", ".join(part for part in ("S3", kept) if part))
            yield Node(id_of(bucket), ("bucket",), called(bucket), Place.SERVICES, facts, keys_of(own))
    for table in reading.of(*TABLES):
        mode = "on demand" if text(table.get("BillingMode")) == "PAY_PER_REQUEST" else "provisioned"
        facts = _facts(kind="DynamoDB", mode=mode)
        yield Node(id_of(table), ("table",), called(table), Place.SERVICES, facts, keys_of([table]))
    for stream in reading.of("AWS::KinesisFirehose::DeliveryStream"):
        node = Node(
            id_of(stream), ("delivery",), called(stream), Place.SERVICES, _facts(kind="Firehose"), keys_of([stream])
        )
        yield node
    identities = reading.of("AWS::SES::EmailIdentity")
    if identities:
        own = [*identities, *reading.of("AWS::SES::ConfigurationSet", "AWS::SES::ConfigurationSetEventDestination")]
        facts = _facts(domain=text(identities[0].get("EmailIdentity")))
        yield Node(id_of(identities[0]), ("mail",), "SES mail", Place.SERVICES, facts, keys_of(own))


def _log_buckets(reading: Reading) -> list[Resource]:
    """Buckets that other resources write their logs into."""
    found: list[Resource] = []
    for resource in reading.system.resources:
        match resource.type:
            case "AWS::S3::Bucket":
                found += reading.system.targets(resource.get("LoggingConfiguration"))
            case "AWS::CloudFront::Distribution":
                found += reading.system.targets(resource.get("DistributionConfig.Logging"))
            case "AWS::ElasticLoadBalancingV2::LoadBalancer":
                found += reading.system.targets(resource.get("LoadBalancerAttributes"))
            case "AWS::EC2::FlowLog":
                found += reading.system.targets(resource.get("LogDestination"))
    return [bucket for bucket in dict.fromkeys(found) if bucket.type == BUCKET]


# --- operations ------------------------------------------------------------------------------------------------------


def _operations(reading: Reading, alerts: list[Resource], logs: list[Resource]) -> Iterator[Node]:
    for shared in SHARED:
        counts = [(reading.of(kind), one) for kind, one in shared.counted.items()]
        own = [resource for found, _ in counts for resource in found] + reading.of(*shared.also)
        told = _facts(**{one: plural(len(found), one) for found, one in counts if found})
        if told:
            helpers = [
                each
                for schedule in own
                if schedule.type == "AWS::SecretsManager::RotationSchedule"
                for each in reading.reached(schedule, FUNCTION)
            ]
            facts = (*told, *(_facts(rotation="rotated") if helpers else ()))
            yield Node(shared.title, (shared.icon,), shared.title, Place.OPERATIONS, facts, keys_of([*own, *helpers]))
    if alerts:
        mails = [one for topic in alerts for one in reading.users_of(topic, SUBSCRIPTION)]
        facts = _facts(count=plural(len(alerts), "topic"), way="by mail" if mails else "")
        yield Node("alerts", ("topic",), "Alerts", Place.OPERATIONS, facts, keys_of([*alerts, *mails]))
    if logs:
        policies = [each for bucket in logs for each in reading.users_of(bucket, "AWS::S3::BucketPolicy")]
        facts = _facts(count=plural(len(logs), "bucket"))
        yield Node("logs", ("bucket",), "Access logs", Place.OPERATIONS, facts, keys_of([*logs, *policies]))
