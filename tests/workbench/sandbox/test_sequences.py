"""Five ways through the stages: each ends where a fresh deployment of its last stage does, as the services tell it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from zipfile import ZipFile

import pytest
from moto.moto_api._internal.models import moto_api_backend

from blueprint.stages import STAGES
from tests.conftest import Templates
from tests.workbench.sandbox.pretend import REGION, Pretend
from workbench.sandbox import api, engine
from workbench.sandbox.kinds import KINDS

pytestmark = pytest.mark.slow

# They begin at five stages, so that their beginnings are the fresh deployments that their ends are compared with.
SEQUENCES = ((1, 2, 3, 4, 5), (2, 4), (3, 4), (4, 2), (5, 4, 3, 2, 1))
OWNERS_FIRST = ("network", "data", "web", "edge", "workers", "signals")
EVERYTHING = {
    "autoscaling": ("describe_auto_scaling_groups", "describe_policies"),
    "backup": ("list_backup_plans", "list_backup_vaults"),
    "cloudfront": ("list_distributions", "list_origin_access_controls"),
    "cloudwatch": ("describe_alarms", "list_dashboards"),
    "dynamodb": ("list_tables",),
    "ec2": (
        "describe_addresses",
        "describe_internet_gateways",
        "describe_nat_gateways",
        "describe_route_tables",
        "describe_security_groups",
        "describe_subnets",
        "describe_volumes",
        "describe_vpc_endpoints",
        "describe_vpcs",
    ),
    "elasticache": ("describe_cache_subnet_groups", "describe_replication_groups", "describe_users"),
    "elbv2": ("describe_load_balancers", "describe_target_groups"),
    "events": ("list_rules",),
    "firehose": ("list_delivery_streams",),
    "iam": ("get_account_authorization_details",),
    "lambda": ("list_event_source_mappings", "list_functions"),
    "logs": ("describe_log_groups",),
    "rds": ("describe_db_instances", "describe_db_parameter_groups", "describe_db_subnet_groups"),
    "resourcegroupstaggingapi": ("get_resources",),
    "s3": ("list_buckets",),
    "scheduler": ("list_schedules",),
    "secretsmanager": ("list_secrets",),
    "sns": ("list_subscriptions", "list_topics"),
    "sqs": ("list_queues",),
    "ssm": ("describe_parameters",),
}
# What is another value each time, how many hosts a fleet has at the moment, and what moto counts once more with every
# change of a listener.
ANEW = re.compile(
    r".*(Date|Time|Timestamp|Modified)|.*(Association|Profile)Id|Version|VersionId|HeaderValue|PrivateIp"
    r"|PrivateIpAddress|DesiredCapacity|Instances|LoadBalancerArns",
    re.IGNORECASE,
)
MADE_UP = re.compile(r"\b[a-z]+(-[a-z]+)*-[0-9a-f]{8,17}\b|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")

State = dict[str, Any]
Ends = dict[tuple[int, ...], tuple[State, State]]


class Journey:
    """One environment of the sandbox profile in an account of its own."""

    def __init__(self, templates: Templates) -> None:
        moto_api_backend.reset()
        self._templates, self._cloud = templates, Pretend(kinds=KINDS)
        self._aws = self._cloud.engine.stacks.aws(REGION)
        self._aws.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        ZipFile(code := io.BytesIO(), "w").close()
        s3, written = self._aws.client("s3"), json.dumps([templates("sandbox", stage.number) for stage in STAGES])
        for bucket, key in set(re.findall(r'"S3Bucket": "([^"]+)", "S3Key": "([^"]+)"', written)):
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=key, Body=code.getvalue())

    def go(self, stage: int, before: int = 0) -> None:
        """Owners before those that use them on the way up, and the other way round on the way down."""
        wanted = self._templates("sandbox", stage)
        for role in OWNERS_FIRST if stage > before else OWNERS_FIRST[::-1]:
            name = f"shop-{role}"
            if wanted[role].get("Resources"):
                status = self._cloud.deploy(name, wanted[role], Capabilities=["CAPABILITY_NAMED_IAM"])
                assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", ""), self._cloud.stack(name)
            else:
                self._cloud.api.delete_stack(StackName=name)

    def state(self) -> State:
        """What the services list, with logical ids for those that were made up."""
        found: dict[str, list[Any]] = {}
        for service, operations in EVERYTHING.items():
            client = self._aws.client(service)
            for operation in operations:
                pages = client.get_paginator(operation).paginate() if client.can_paginate(operation) else None
                for page in pages or [getattr(client, operation)()]:
                    for key, items in page.items():
                        items = items.get("Items", []) if isinstance(items, Mapping) else items
                        if isinstance(items, list):
                            found.setdefault(f"{service} {operation} {key}", []).extend(items)
        stacks = self._cloud.engine.stacks.all()
        names = {stack.id: stack.name for stack in stacks}
        for one in (one for stack in stacks for one in stack.resources.values()):
            attributes = [(name, str(value)) for name, value in one.made.attributes.items()]
            names |= {value: f"{one.id}.{name}" for name, value in attributes if len(value) > 8}  # no ports and so on
            names[one.made.id] = one.id
        known = re.compile("|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))

        def plain(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {plain(key): plain(item) for key, item in value.items() if not ANEW.fullmatch(key)}
            if isinstance(value, list):
                return sorted(map(plain, filter(stays, value)), key=lambda item: json.dumps(item, sort_keys=True))
            if isinstance(value, str):
                return MADE_UP.sub("...", known.sub(lambda name: names[name[0]], value))
            return value

        return {name: plain(items) for name, items in found.items()}


def stays(item: Any) -> bool:
    """Not what is gone, and still listed for a while."""
    arn, state = (item.get("ResourceARN", ""), item.get("State")) if isinstance(item, Mapping) else ("", "")
    return state != "deleted" and not re.search(":(instance|natgateway)/", arn)


@pytest.fixture(scope="module")
def ends(templates: Templates) -> Iterator[Ends]:
    """How each sequence began and ended."""
    found: Ends = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "LARGEST_BODY", api.LARGEST_FILE)  # the command line would use a bucket
        patch.setattr(engine, "SECONDS_UNTIL_ANSWER", 60)
        for sequence in SEQUENCES:
            journey = Journey(templates)
            journey.go(sequence[0])
            began = journey.state()
            for before, stage in pairwise(sequence):
                journey.go(stage, before)
            found[sequence] = began, journey.state()
    yield found
    moto_api_backend.reset()


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: "-".join(map(str, sequence)))
def test_a_sequence_of_moves_ends_where_a_fresh_deployment_does(ends: Ends, sequence: tuple[int, ...]) -> None:
    fresh = {began[0]: state for began, (state, _) in ends.items()}
    assert ends[sequence][1] == fresh[sequence[-1]]
