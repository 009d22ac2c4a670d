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
from workbench.deploy.moves import HOST
from workbench.deploy.plan import RECORD
from workbench.facts.stateful import KEEPS_REMOVED, SNAPSHOT, STATEFUL, removal_policy
from workbench.synth import ROOT
from workbench.templates import Assembly, Resource, resources

FLEET_TAG = "aws:autoscaling:groupName"  # on each host of a fleet, which goes with it


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
    HOST: Shield(
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
            if policy in KEEPS_REMOVED and resource.type != HOST:  # which would hold its network: `protected`
                what = STATEFUL[resource.type].holds if resource.type in STATEFUL else "what it is"
                why = f"{'a snapshot of it stays' if policy == SNAPSHOT else 'stays'}, DeletionPolicy {policy}: {what}"
                found.append(
                    Kept(stack.name, stack.name_of(resource.id), resource.type, ids.get(resource.id, "?"), why)
                )
    return found


def protected(name: str, there: Assembly, live: Live, aws: Clients) -> Iterator[str]:
    """What would refuse to go half-way, each with the command that lets it; taking it off is a step of its own."""
    going: set[str] = set()
    for stack, deployed in stacks(there, live):
        where = f"--region {stack.region}"
        if deployed.protected:
            command = "aws cloudformation update-termination-protection --no-enable-termination-protection"
            yield f"{stack.name} is protected against deletion: {command} {where} --stack-name {stack.name}"
        ids = live.physical_ids(stack.name, stack.region)
        for resource in _of(there, stack.role):
            shield, found = SHIELDS.get(resource.type), ids.get(resource.id)
            policy = removal_policy(resource.type, resource.properties, resource.deletion_policy)
            if not shield or not found or policy in KEEPS_REMOVED - {SNAPSHOT}:
                continue
            going.add(found)
            if shield.is_up(aws.client(shield.service, stack.region), found):
                yield (
                    f"{stack.name}: {stack.name_of(resource.id)} ({found}) is protected against deletion by its "
                    f"service; take that off first: {shield.command} {where} {shield.name} {found}"
                )
    yield from _hosts_that_stay(name, going, aws)


def _hosts_that_stay(name: str, going: set[str], aws: Clients) -> Iterator[str]:
    """Hosts that no stack takes along, by policy or because their template is gone; no network goes around them."""
    ec2 = aws.client("ec2")
    where = f"--region {ec2.meta.region_name}"
    wanted = {
        f"tag:{ENVIRONMENT_TAG}": [name],
        "instance-state-name": ["pending", "running", "stopping", "stopped"],
    }
    filters = [{"Name": key, "Values": values} for key, values in wanted.items()]
    for page in ec2.get_paginator("describe_instances").paginate(Filters=filters):
        for host in (one for reservation in page["Reservations"] for one in reservation["Instances"]):
            found = host["InstanceId"]
            if found in going or any(tag["Key"] == FLEET_TAG for tag in host["Tags"]):
                continue
            if SHIELDS[HOST].is_up(ec2, found):
                yield (
                    f"the host {found} is protected against termination, and no stack takes it along; take that off "
                    f"first: {SHIELDS[HOST].command} {where} {SHIELDS[HOST].name} {found}"
                )
            yield (
                f"the host {found} stays when its stack goes, and the network cannot go while it is there; save what "
                f"it alone holds, then: aws ec2 terminate-instances {where} --instance-ids {found}"
            )


def _of(assembly: Assembly, role: str) -> Iterator[Resource]:
    return (one for key, one in sorted(resources(assembly).items()) if key[0] == role)


def parameters(name: str, aws: Clients) -> list[str]:
    """The paths of everything that is under an environment's name, whoever wrote it."""
    pages = aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/{name}/", Recursive=True)
    return sorted(one["Name"] for page in pages for one in page["Parameters"])


def delete_parameters(name: str, aws: Clients, *, record: bool) -> list[str]:
    """Delete what stands under an environment's name when its stacks are gone; with the record if wanted."""
    ssm, found = aws.client("ssm"), parameters(name, aws)
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
