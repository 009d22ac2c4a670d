"""Resources as the shop's own templates want them, made in the local AWS with plain values for their functions."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from moto.moto_api._internal.models import moto_api_backend

from tests.golden_files import GOLDEN
from tests.workbench.sandbox.read_back import Account
from workbench.sandbox.kinds import KINDS
from workbench.sandbox.kinds.calls import call, inside
from workbench.sandbox.kinds.kind import FAILURES, Aws, Made, Wanted
from workbench.templates import short_forms

STACK_TAGS = {"team": "shop"}
# For a world that many tests look at and none changes.
STATES = [pytest.param(state, marks=pytest.mark.slow) for state in ("as made", "as changed")]


@cache
def template_of(stage: int = 5) -> Mapping[str, Any]:
    """All resources of a stage by logical id, functions and all."""
    found: dict[str, Any] = {}
    for path in sorted((GOLDEN / str(stage)).glob("*.yaml")):
        found.update(short_forms.load(path.read_text(encoding="utf-8")).get("Resources") or {})
    return found


def of(*services: str) -> set[str]:
    """The types of these services that the local AWS can make."""
    return {type_ for type_ in KINDS if type_.split("::")[1] in services}


def in_shop(*services: str) -> list[str]:
    """What the templates of stage 5 have of these services, by logical id."""
    return [id for id, resource in template_of().items() if resource["Type"] in of(*services)]


@cache
def _aws() -> Aws:
    return Aws("us-east-1")


def start_afresh(aws: Aws) -> None:
    """An account with nothing in it, not even the images that moto would make: that takes longer than a test."""
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        moto_api_backend.reset()
        inside(aws, "ec2")


class World:
    """An empty local AWS, in which whatever is asked for is made from the templates of stage 5, with what it needs.

    There is one at a time: it ends whatever was in moto before it.
    """

    _latest: World | None = None

    def __init__(self, types: Collection[str]) -> None:
        World._latest = self
        start_afresh(self.aws)
        self.types = types  # all others are not made: `values` stands for them
        self.values: dict[str, Any] = {}  # part of a function's text -> what it comes to
        self.made: dict[str, Made] = {}  # by logical id
        self.wanted: dict[str, Wanted] = {}

    @property
    def aws(self) -> Aws:
        assert World._latest is self, "another world has begun since"
        return _aws()

    def get(self, id: str) -> Made:
        """A resource of the templates, made now if it was not made before."""
        if id not in self.made:
            resource = template_of()[id]
            self.make(self.wants(resource["Type"], self.plain(resource["Properties"]), id))
        return self.made[id]

    def wants(self, resource_type: str, properties: Mapping[str, Any], id: str = "Thing") -> Wanted:
        return Wanted("shop", id, resource_type, properties, STACK_TAGS, "1")

    def make(self, wanted: Wanted) -> Made:
        self.made[wanted.id] = KINDS[wanted.type].create(self.aws, wanted)
        self.wanted[wanted.id] = wanted
        return self.made[wanted.id]

    def change(self, id: str, **properties: Any) -> Made:
        """Properties written into the template; None takes one out."""
        self.get(id)
        before = self.wanted[id]
        new = {key: value for key, value in {**before.properties, **properties}.items() if value is not None}
        after = replace(before, properties=new)
        self.made[id] = KINDS[before.type].update(self.aws, self.made[id], before, after)
        self.wanted[id] = after
        return self.made[id]

    def delete(self, id: str) -> None:
        made = self.get(id)
        KINDS[self.wanted[id].type].delete(self.aws, made, self.wanted[id])

    def refused(self, id: str) -> str:
        """Why a resource cannot be deleted."""
        self.get(id)
        with pytest.raises(FAILURES) as problem:
            self.delete(id)
        return str(problem.value)

    def read(self, id: str) -> Mapping[str, Any]:
        """What its service says of a resource."""
        made = self.get(id)
        return Account(self.aws.client).read(self.wanted[id].type, made.id, self.wanted[id].properties)

    def differences(self) -> list[str]:
        """What services say otherwise than it is wanted, of all that is made."""
        account = Account(self.aws.client)
        return [
            f"{id}: {difference}"
            for id, wanted in self.wanted.items()
            for difference in account.differences(wanted.type, self.made[id].id, wanted.properties)
        ]

    def tags_of(self, id: str) -> dict[str, str]:
        """As every service shows them that takes part in tagging."""
        client = self.aws.client("resourcegroupstaggingapi")
        mine = {"Key": "aws:cloudformation:logical-id", "Values": [id]}
        [found] = client.get_resources(TagFilters=[mine])["ResourceTagMappingList"]
        return {tag["Key"]: tag["Value"] for tag in found["Tags"]}

    def all_tags_of(self, id: str) -> dict[str, str]:
        """As they should be."""
        own = {tag["Key"]: tag["Value"] for tag in self.wanted[id].properties.get("Tags", [])}
        ours = {"aws:cloudformation:logical-id": id, "aws:cloudformation:stack-name": "shop"}
        return {**STACK_TAGS, **ours, **own}

    def plain(self, value: Any) -> Any:
        """A value without functions: of what can be made, what it really is; of all else, what `values` says."""
        match value:
            case {"Fn::Join": [glue, [*parts]]}:
                return glue.join(str(self.plain(part)) for part in parts)
            case {"Ref": str(id)} if self._is_ours(id):
                return self.get(id).id
            case {"Fn::GetAtt": [str(id), str(attribute)]} if self._is_ours(id):
                return self.get(id).attributes[attribute]
            case dict() if len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::")):
                function = json.dumps(value)
                unknown = re.sub(r"\W+", "-", function).strip("-")
                return next((known for part, known in self.values.items() if part in function), unknown)
            case dict():
                return {key: self.plain(item) for key, item in value.items()}
            case list():
                return [self.plain(item) for item in value]
        return value

    def _is_ours(self, id: str) -> bool:
        return id in self.made or template_of().get(id, {}).get("Type") in self.types


def make_zone(aws: Aws, zone_id: str, domain: str) -> None:
    """The zone that an environment names by its id: outside of all templates, and Route 53 gives no id on request."""
    zones = inside(aws, "route53").zones
    if zone_id not in zones:
        new = call(aws, "route53", "create_hosted_zone", Name=domain, CallerReference=zone_id)["HostedZone"]["Id"]
        zone = zones[zone_id] = zones.pop(new.removeprefix("/hostedzone/"))
        zone.resource_id = zone_id
