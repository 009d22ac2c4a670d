"""What stays when an environment goes: kept by policy, protected by its service, written by nobody's stack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.deploy import Refused
from workbench.deploy.guard import Clients
from workbench.deploy.live import Live, stacks
from workbench.deploy.plan import RECORD
from workbench.facts.stateful import KEEPS_REMOVED, SNAPSHOT, STATEFUL, removal_policy
from workbench.synth import ROOT
from workbench.templates import Assembly, Resource, resources
from workbench.transition.rule import is_protected

BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
TAG = "shop:environment"


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


def protected(there: Assembly, live: Live) -> Iterator[str]:
    """What would refuse to go half-way, each with the command that lets it; taking it off is a step of its own."""
    for stack, deployed in stacks(there, live):
        if deployed.protected:
            command = "aws cloudformation update-termination-protection --no-enable-termination-protection"
            yield f"{stack.name} is protected against deletion: {command} --stack-name {stack.name}"
        ids = live.physical_ids(stack.name, stack.region)
        for resource in _of(there, stack.role):
            policy = removal_policy(resource.type, resource.properties, resource.deletion_policy)
            stays = policy in KEEPS_REMOVED - {SNAPSHOT}
            if not stays and (is_protected(resource) or _is_protected_balancer(resource)):
                yield (
                    f"{stack.name}: {stack.name_of(resource.id)} ({ids.get(resource.id, '?')}) is protected against "
                    f"deletion by its service; take that off first{_command(resource.type, ids.get(resource.id, '?'))}"
                )


def _of(assembly: Assembly, role: str) -> Iterator[Resource]:
    return (one for key, one in sorted(resources(assembly).items()) if key[0] == role)


def _is_protected_balancer(resource: Resource) -> bool:
    return resource.type == BALANCER and any(
        row.get("Key") == "deletion_protection.enabled" and str(row.get("Value")).lower() == "true"
        for row in resource.properties.get("LoadBalancerAttributes", [])
    )


def _command(kind: str, name: str) -> str:
    known = {
        BALANCER: "aws elbv2 modify-load-balancer-attributes --attributes Key=deletion_protection.enabled,Value=false "
        "--load-balancer-arn",
        "AWS::RDS::DBInstance": "aws rds modify-db-instance --no-deletion-protection --apply-immediately "
        "--db-instance-identifier",
        "AWS::EC2::Instance": "aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id",
    }
    return f": {known[kind]} {name}" if kind in known else ""


def orphans(name: str, aws: Clients, *, record: bool) -> list[str]:
    """Parameters of an environment without stacks: hosts and people wrote them, so no stack took them along."""
    pages = aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/{name}/", Recursive=True)
    found = sorted(one["Name"] for page in pages for one in page["Parameters"])
    if record:
        path = RECORD.format(name=name)
        names = aws.client("ssm").get_parameters(Names=[path])["Parameters"]
        found += [one["Name"] for one in names]
    return found


def delete(parameter: str, aws: Clients) -> None:
    aws.client("ssm").delete_parameter(Name=parameter)


def tagged(name: str, aws: Clients, regions: list[str]) -> list[str]:
    """Everything that still carries the environment's tag, as ARNs."""
    found: set[str] = set()
    for region in regions:
        pages = aws.client("resourcegroupstaggingapi", region).get_paginator("get_resources")
        for page in pages.paginate(TagFilters=[{"Key": TAG, "Values": [name]}]):
            found |= {row["ResourceARN"] for row in page["ResourceTagMappingList"]}
    return sorted(found)


def sweep(name: str, region: str) -> None:
    """Empty and delete what keeps nothing, by the program that does the same when an environment's time is over."""
    program = ROOT / "lambdas" / "teardown" / "sweep.py"
    line = [sys.executable, str(program), "--environment", name, "--region", region, "--now"]
    if subprocess.run(line, check=False).returncode:
        raise Refused(f"not everything of {name} would go; what is printed above says what and why. Destroy it again")
