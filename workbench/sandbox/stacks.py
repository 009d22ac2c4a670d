"""Stacks as the local CloudFormation keeps them, in memory, and what one stack may read of the others."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.facts.stateful import DELETE, RETAIN_EXCEPT_ON_CREATE, removal_policy
from workbench.sandbox.kinds.kind import FAILURES, Aws, Made, Wanted
from workbench.sandbox.values import NOTHING, Parameter, TemplateError, Values
from workbench.templates.references import Reference, Resource

if TYPE_CHECKING:
    from workbench.sandbox.change_sets import ChangeSet

GONE, REVIEW = "DELETE_COMPLETE", "REVIEW_IN_PROGRESS"
# The ends of a creation that did not come to be; what such a stack has made can only be deleted.
NEVER_COMPLETE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


@dataclass(frozen=True)
class Target:
    """What a stack is to become."""

    text: str
    template: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    tags: Mapping[str, str]


@dataclass
class Deployed:
    """A resource as it is in the account."""

    resource: Resource  # as its template has it, with values in place of functions
    wanted: Wanted
    made: Made
    needs: frozenset[str]
    status: str
    since: datetime
    reason: str = ""
    policy: str = DELETE  # what becomes of it, once it leaves the stack

    @property
    def id(self) -> str:
        return self.wanted.id

    def gives(self, reference: Reference) -> Any:
        """What `Ref` or `Fn::GetAtt` of it is."""
        if not reference.attribute:
            return self.made.id
        if reference.attribute not in self.made.attributes:
            raise TemplateError(f"{self.wanted.type} {self.id} has no attribute {reference.attribute} here")
        return self.made.attributes[reference.attribute]

    def policy_when_removed(self, never_complete: bool) -> str:
        written = self.resource.deletion_policy
        if never_complete and written == RETAIN_EXCEPT_ON_CREATE:
            return DELETE
        return removal_policy(self.wanted.type, self.resource.properties, written)


@dataclass(frozen=True)
class Output:
    value: Any
    description: str = ""
    export: str = ""


@dataclass(eq=False)
class Stack:
    """One stack; the only one of its name in its region that is not deleted."""

    id: str
    name: str
    region: str
    account: str
    status: str = REVIEW
    reason: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime | None = None
    deleted: datetime | None = None
    target: Target | None = None  # what it is, or what it was to become when that failed
    resources: dict[str, Deployed] = field(default_factory=dict)
    leaving: list[Deployed] = field(default_factory=list)  # replaced ones that are not deleted yet
    outputs: dict[str, Output] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)  # by id
    events: list[dict[str, Any]] = field(default_factory=list)  # as the API tells them, the oldest first
    generations: Counter[str] = field(default_factory=Counter)  # how often each logical id was made
    protected: bool = False
    keeps_failures: bool = False  # the user said --no-rollback

    @property
    def busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != REVIEW

    @property
    def exports(self) -> dict[str, Any]:
        return {output.export: output.value for output in self.outputs.values() if output.export}

    def tell(self, status: str, reason: str = "") -> None:
        """A new status of the stack itself."""
        self.status, self.reason = status, reason
        self.report(self.name, "AWS::CloudFormation::Stack", self.id, status, reason)

    def report(self, logical_id: str, type_: str, physical_id: str, status: str, reason: str = "") -> None:
        now = datetime.now(UTC)
        if self.events:  # whoever sorts them by milliseconds shall have them in this order
            now = max(now, self.events[-1]["Timestamp"] + timedelta(milliseconds=1))
        told = {"StackId": self.id, "StackName": self.name, "EventId": f"{logical_id}-{status}-{len(self.events)}"}
        what = {"LogicalResourceId": logical_id, "ResourceType": type_, "PhysicalResourceId": physical_id}
        how = {"ResourceStatus": status, "ResourceStatusReason": reason or None, "Timestamp": now}
        self.events.append({**told, **what, **how})


class Stacks:
    """All stacks of the account, deleted ones included, and the services behind them."""

    def __init__(self, aws: Callable[[str], Aws] = Aws) -> None:
        self._all: dict[str, Stack] = {}  # by id, the oldest first
        self.aws = cache(aws)  # by region
        self.zones = cache(self._zones)

    def all(self, region: str = "", *, deleted: bool = False) -> list[Stack]:
        stacks = list(self._all.values())
        return [one for one in stacks if region in ("", one.region) and (deleted or one.status != GONE)]

    def find(self, name: str, region: str) -> Stack | None:
        """The stack of this name, or of this id, by which deleted ones are found as well."""
        return self._all.get(name) or next((one for one in self.all(region) if one.name == name), None)

    def add(self, name: str, region: str) -> Stack:
        account = self.aws(region).account
        unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{region}/{name}/{len(self._all)}")
        id_ = f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{unique}"
        stack = self._all[id_] = Stack(id_, name, region, account)
        return stack

    def _zones(self, region: str) -> list[str]:
        found = self.aws(region).client("ec2").describe_availability_zones()["AvailabilityZones"]
        return sorted(zone["ZoneName"] for zone in found)

    def users(self, export: str, region: str) -> list[str]:
        """The names of the stacks that import a value."""
        return [one.name for one in self.all(region) if export in one.imports]

    def exports(self, region: str) -> Iterator[tuple[str, Any, Stack]]:
        return ((name, value, one) for one in self.all(region) for name, value in one.exports.items())

    def values(self, stack: Stack, target: Target, known: Callable[[Reference], Any]) -> Values:
        """The template's values; `known` says what a resource gives, or hands back the reference."""
        plain = {
            "AWS::AccountId": stack.account,
            "AWS::NoValue": NOTHING,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": stack.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
            **{name: parameter.value for name, parameter in target.parameters.items()},
        }
        return Values(stack.name, target.template, plain, Surroundings(self, stack.region), known)


class Surroundings:
    """What templates read from other stacks and from services; see `Outside`."""

    def __init__(self, stacks: Stacks, region: str) -> None:
        self._stacks, self._region = stacks, region

    def imported(self, name: str) -> Any:
        for export, value, _ in self._stacks.exports(self._region):
            if export == name:
                return value
        raise TemplateError(f"No export named {name} found.")

    def output(self, stack: str, output: str, region: str) -> Any:
        found = self._stacks.find(stack, region)
        if found is None or output not in found.outputs:
            what = f"Stack {stack} does not exist in {region}" if found is None else f"Stack {stack} has no such output"
            raise TemplateError(f"{what}: cannot get its output {output}")
        return found.outputs[output].value

    def zones(self, region: str) -> list[str]:
        return self._stacks.zones(region)

    def parameter(self, name: str) -> str:
        try:
            answer = self._stacks.aws(self._region).client("ssm").get_parameter(Name=name, WithDecryption=True)
        except FAILURES:
            raise TemplateError(f"Unable to fetch parameters [{name}] from parameter store for this account.") from None
        return str(answer["Parameter"]["Value"])

    def secret(self, name: str, key: str, stage: str, version: str) -> str:
        which = {"VersionStage": stage, "VersionId": version}
        given = {argument: text for argument, text in which.items() if text}
        try:
            secrets = self._stacks.aws(self._region).client("secretsmanager")
            text = str(secrets.get_secret_value(SecretId=name, **given)["SecretString"])
            return str(json.loads(text)[key]) if key else text
        except (*FAILURES, ValueError, KeyError) as problem:
            raise TemplateError(f"Could not read {key or 'the value'} of secret {name}: {problem}") from None
