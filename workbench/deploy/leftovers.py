"""What stays when an environment goes: kept by policy, protected by its service, written by nobody's stack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blueprint.environment import Environment
from workbench.deploy import Refused
from workbench.deploy.guard import Clients
from workbench.deploy.live import ENVIRONMENT_TAG, Live, stacks
from workbench.deploy.plan import RECORD
from workbench.facts.stateful import KEEPS_REMOVED, SNAPSHOT, STATEFUL, removal_policy
from workbench.synth import ROOT
from workbench.templates import Assembly, Resource, resources


@dataclass(frozen=True)
class Shield:
    """How a service is asked whether it would refuse to delete something, and the command that lets it."""

    service: str
    raised: Callable[[Any, str], bool]
    command: str
    name: str  # the option that takes the physical id

    def is_up(self, client: Any, name: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            return self.raised(client, name)
        except ClientError as problem:
            if "NotFound" in problem.response["Error"]["Code"]:
                return False  # somebody has deleted it already
            raise


# Templates are not asked: they say what was wanted when they were deployed, and go on saying it.
SHIELDS: Mapping[str, Shield] = {
    "AWS::DynamoDB::Table": Shield(
        "dynamodb",
        lambda dynamodb, name: dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled", False),
        "aws dynamodb update-table --no-deletion-protection-enabled",
        "--table-name",
    ),
    "AWS::EC2::Instance": Shield(
        "ec2",
        lambda ec2, name: ec2.describe_instance_attribute(InstanceId=name, Attribute="disableApiTermination")[
            "DisableApiTermination"
        ]["Value"],
        "aws ec2 modify-instance-attribute --no-disable-api-termination",
        "--instance-id",
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Shield(
        "elbv2",
        lambda elbv2, name: (
            {"Key": "deletion_protection.enabled", "Value": "true"}
            in elbv2.describe_load_balancer_attributes(LoadBalancerArn=name)["Attributes"]
        ),
        "aws elbv2 modify-load-balancer-attributes --attributes Key=deletion_protection.enabled,Value=false",
        "--load-balancer-arn",
    ),
    "AWS::RDS::DBInstance": Shield(
        "rds",
        lambda rds, name: rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DeletionProtection"],
        "aws rds modify-db-instance --no-deletion-protection --apply-immediately",
        "--db-instance-identifier",
    ),
}


@dataclass(frozen=True)
class Kept:
    """One resource that a destroyed stack leaves in the account."""

    stack: str
    name: str
    type: str
    id: str  # as AWS knows it
    why: str


def kept(there: Assembly, live: Live) -> list[Kept]:
    """What the live templates' policies keep, wherever it is."""
    found: list[Kept] = []
    for stack in there.stacks:
        ids = live.physical_ids(stack.name, stack.region)
        for resource in _of(there, stack.role):
            policy = removal_policy(resource.type, resource.properties, resource.deletion_policy)
            if policy in KEEPS_REMOVED:
                what = STATEFUL[resource.type].holds if resource.type in STATEFUL else "what it is"
                why = f"{'a snapshot of it stays' if policy == SNAPSHOT else 'stays'}, DeletionPolicy {policy}: {what}"
                found.append(
                    Kept(stack.name, stack.name_of(resource.id), resource.type, ids.get(resource.id, "?"), why)
                )
    return found


def protected(there: Assembly, live: Live, aws: Clients) -> Iterator[str]:
    """What would refuse to go half-way, each with the command that lets it; taking it off is a step of its own."""
    for stack, deployed in stacks(there, live):
        where = f"--region {stack.region}"
        if deployed.protected:
            command = "aws cloudformation update-termination-protection --no-enable-termination-protection"
            yield f"{stack.name} is protected against deletion: {command} {where} --stack-name {stack.name}"
        ids = live.physical_ids(stack.name, stack.region)
        for resource in _of(there, stack.role):
            shield, found = SHIELDS.get(resource.type), ids.get(resource.id)
            policy = removal_policy(resource.type, resource.properties, resource.deletion_policy)
            stays = policy in KEEPS_REMOVED - {SNAPSHOT}
            if shield and found and not stays and shield.is_up(aws.client(shield.service, stack.region), found):
                yield (
                    f"{stack.name}: {stack.name_of(resource.id)} ({found}) is protected against deletion by its "
                    f"service; take that off first: {shield.command} {where} {shield.name} {found}"
                )


def _of(assembly: Assembly, role: str) -> Iterator[Resource]:
    return (one for key, one in sorted(resources(assembly).items()) if key[0] == role)


def delete_parameters(name: str, aws: Clients, *, record: bool) -> list[str]:
    """Delete what hosts and people wrote for an environment, which no stack took along; with the record if wanted."""
    ssm = aws.client("ssm")
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=f"/{name}/", Recursive=True)
    found = sorted(one["Name"] for page in pages for one in page["Parameters"])
    for path in found:
        ssm.delete_parameter(Name=path)
    return found + (ssm.delete_parameters(Names=[RECORD.format(name=name)])["DeletedParameters"] if record else [])


def tagged(name: str, aws: Clients, regions: list[str]) -> list[str]:
    """Everything that still carries the environment's tag, as ARNs."""
    found: set[str] = set()
    for region in regions:
        pages = aws.client("resourcegroupstaggingapi", region).get_paginator("get_resources")
        for page in pages.paginate(TagFilters=[{"Key": ENVIRONMENT_TAG, "Values": [name]}]):
            found |= {row["ResourceARN"] for row in page["ResourceTagMappingList"]}
    return sorted(found)


def sweep(environment: Environment, *, endless: bool) -> None:
    """Empty and delete what keeps nothing, by the program that does the same when an environment's time is over."""
    named = {"account": environment.account, "environment": environment.name, "region": environment.region}
    line = [sys.executable, str(ROOT / "lambdas" / "teardown" / "sweep.py"), "--now", *["--endless"] * endless]
    if subprocess.run(
        line + [word for key, value in named.items() for word in (f"--{key}", value)], check=False
    ).returncode:
        raise Refused(
            f"not everything of {environment.name} would go; what is printed above says what and why. Destroy it again"
        )
