"""An environment goes through all stages in this process; after each move every service is asked what it holds."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.workbench.sandbox import read_back
from tests.workbench.sandbox.shop import make_zone, start_afresh
from workbench.sandbox.engine import Engine
from workbench.sandbox.kinds import FORGOTTEN, KINDS, ONLY_KEPT
from workbench.sandbox.stacks import Stack, Stacks, Surroundings, Target
from workbench.sandbox.values import parameters
from workbench.templates import Assembly, StackTemplate, read_assembly

pytestmark = pytest.mark.slow

REGION = "us-east-1"
JOURNEY = (1, 2, 3, 4, 5, 4, 3, 2)


class Shop:
    """An environment in the local AWS, without the command line before it and a server around it."""

    def __init__(self) -> None:
        self._stacks = Stacks()
        self._engine = Engine(self._stacks, KINDS)
        self._aws = self._stacks.aws(REGION)
        start_afresh(self._aws)
        self.clients = self._aws.client
        self.clients("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        self.there: dict[str, StackTemplate] = {}

    def move(self, assembly: Assembly, *, down: bool) -> None:
        """Owners before consumers, and the other way round on the way down."""
        wanted = {stack.name: stack for stack in assembly.stacks if stack.resources}
        gone = self.there.keys() - wanted.keys()
        for stack in wanted.values():
            self._prepare(stack)
        for name in gone:
            self._finished(self._engine.delete, self._stack(name))
        for stack in reversed(wanted.values()) if down else wanted.values():
            self._deploy(stack)
        self.there = wanted

    def deployed(self) -> list[read_back.Stack]:
        found = []
        for name, stack in self.there.items():
            ids = {id: deployed.made.id for id, deployed in self._stack(name).resources.items()}
            found.append(read_back.Stack(name, self._stack(name).id, stack.template, ids))
        return found

    def _stack(self, name: str) -> Stack:
        return self._stacks.find(name, REGION) or self._stacks.add(name, REGION)

    def _deploy(self, stack: StackTemplate) -> None:
        given = parameters(stack.template, {}, Surroundings(self._stacks, REGION))
        target = Target(json.dumps(stack.template), stack.template, given, {"team": "shop"})
        self._finished(self._engine.deploy, self._stack(stack.name), target)

    def _finished(self, begin: Any, stack: Stack, *more: Any) -> None:
        begin(stack, *more)
        while stack.busy:
            time.sleep(0.01)
        assert stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"), stack.reason

    def _prepare(self, stack: StackTemplate) -> None:
        """What is there before: code, here an empty archive each, and the zone that the environment names."""
        archive = io.BytesIO()
        zipfile.ZipFile(archive, "w").close()
        templates = read_back.Templates([], read_back.Account(self._aws.client))
        for resource in stack.resources.values():
            wanted = resource.get("Properties", {})
            if resource["Type"] == "AWS::Lambda::Function":
                code = templates.plain(wanted["Code"], read_back.Stack(stack.name, "", stack.template, {}))
                self.clients("s3").create_bucket(Bucket=code["S3Bucket"])
                self.clients("s3").put_object(Bucket=code["S3Bucket"], Key=code["S3Key"], Body=archive.getvalue())
            elif resource["Type"] == "AWS::Route53::RecordSet" and isinstance(wanted["HostedZoneId"], str):
                make_zone(self._aws, wanted["HostedZoneId"], "example.com")


@dataclass
class Seen:
    differences: list[tuple[int, list[str]]] = field(default_factory=list)
    noticed: set[str] = field(default_factory=set)  # properties of which another value would have been told
    unnoticed: set[str] = field(default_factory=set)


@pytest.fixture(scope="module", params=["production", "sandbox"])
def seen(request: pytest.FixtureRequest, assemblies: Any) -> Seen:
    """A way through all stages, up and down."""
    at: dict[int, Assembly] = {stage: read_assembly(path) for stage, path in assemblies(request.param).items()}
    shop, seen = Shop(), Seen()
    before = 0
    for stage in JOURNEY:
        if (before, stage) == (3, 2):
            unprotect(shop)
        shop.move(at[stage], down=stage < before)
        before = stage
        seen.differences.append((stage, read_back.differences(shop.deployed(), shop.clients)))
        if stage in (1, 5):
            notice(shop, seen)
    return seen


def unprotect(shop: Shop) -> None:
    balancers = shop.clients("elbv2")
    off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    for each in balancers.describe_load_balancers()["LoadBalancers"]:
        balancers.modify_load_balancer_attributes(LoadBalancerArn=each["LoadBalancerArn"], Attributes=off)


def notice(shop: Shop, seen: Seen) -> None:
    """Which properties would be told, if they were other ones than the templates want."""
    stacks, account = shop.deployed(), read_back.Account(shop.clients)
    templates = read_back.Templates(stacks, account)
    for stack in stacks:
        for id, resource in stack.template["Resources"].items():
            wanted, type_ = templates.plain(resource.get("Properties") or {}, stack), resource["Type"]
            for path in leaves(wanted):
                name = ".".join([type_, *(step for step in path if isinstance(step, str))])
                if name not in seen.noticed and account.differences(type_, stack.physical_ids[id], other(wanted, path)):
                    seen.noticed.add(name)
                seen.unnoticed.add(name)
    seen.unnoticed -= seen.noticed


Path_ = tuple[str | int, ...]


def leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    match value:
        case Mapping():
            for key, item in value.items():
                yield from leaves(item, (*path, key))
        case list():
            for number, item in enumerate(value):
                yield from leaves(item, (*path, number))
        case _:
            yield path


def other(properties: Any, path: Path_) -> Any:
    """The properties with another value at a place."""
    changed = holder = deepcopy(properties)
    for step in path[:-1]:
        holder = holder[step]
    value = holder[path[-1]]
    holder[path[-1]] = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}7"
    return changed


def test_what_services_say_is_what_the_templates_want_after_every_move(seen: Seen) -> None:
    assert seen.differences == [(stage, []) for stage in JOURNEY]


def test_another_value_of_any_property_would_be_told_but_for_those_with_a_reason(seen: Seen) -> None:
    forgotten = {f"{type_}.{path}" for type_, paths in FORGOTTEN.items() for path in paths}
    reasons = {*read_back.UNTOLD, *ONLY_KEPT, *forgotten}
    unsaid = {name for name in seen.unnoticed if not any(f"{name}.".startswith(f"{known}.") for known in reasons)}
    assert len(seen.noticed) > 300
    assert unsaid == set()


def test_a_resource_that_is_not_there_is_told() -> None:
    account = read_back.Account(Shop().clients)
    [told] = account.differences("AWS::EC2::Subnet", "subnet-0", {"CidrBlock": "10.0.0.0/24"})
    assert "subnet-0 cannot be read" in told
