"""What is deployed now, read from the account: stacks with their templates, parameters, queues, change sets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from workbench.deploy import Refused
from workbench.templates import Assembly, StackTemplate

ENVIRONMENT_TAG, REGION_TAG, LIFE_TAG = "shop:environment", "shop:region", "shop:time-to-live"
_SSM = "AWS::SSM::Parameter::Value<"
READY = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)
NOT_OURS = "it is none of this environment's stacks; give the environment another name"
CHANGED = "has changed since it was read; deploy again, and look at what is said then"
# A stack that cannot be updated, by the end of its status, and the way out of it.
WAYS_OUT = {
    "IN_PROGRESS": "somebody else is at it; wait until it has ended: aws cloudformation describe-stack-events",
    "UPDATE_ROLLBACK_FAILED": "put right what the events name, then: aws cloudformation continue-update-rollback",
    "UPDATE_FAILED": "take back the change that failed (a local AWS cannot: cdk deploy --no-rollback): cdk rollback",
    "DELETE_FAILED": "put right what the events name, then: aws cloudformation delete-stack",
    "": "it was never complete and can only go: aws cloudformation delete-stack",
}


@dataclass(frozen=True)
class Deployed:
    """One stack as it is in the account."""

    name: str
    status: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str] = field(default_factory=dict)  # with what AWS found where they name a parameter
    protected: bool = False  # against deletion of the whole stack
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangeSet:
    """What CloudFormation says that it would do."""

    empty: bool
    changes: tuple[Mapping[str, Any], ...]


class Live(Protocol):
    """What there is to know about what is deployed."""

    def stack(self, name: str, region: str) -> Deployed | None: ...

    def parameter(self, name: str) -> str | None: ...

    def physical_ids(self, stack: str, region: str) -> Mapping[str, str]: ...

    def messages(self, queue: str) -> int: ...

    def change_set(self, stack: str, region: str, name: str) -> ChangeSet: ...

    def discard(self, stack: str, region: str, name: str) -> None: ...


class Aws:
    """Clients of one region, and of others on request, each made once."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._made: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        import boto3

        key = (service, region or self.region)
        if key not in self._made:
            self._made[key] = boto3.client(service, region_name=key[1])  # type: ignore[call-overload, unused-ignore]
        return self._made[key]


class Account:
    """`Live` as AWS answers."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def stack(self, name: str, region: str) -> Deployed | None:
        from botocore.exceptions import ClientError

        cloudformation = self._aws.client("cloudformation", region)
        try:
            found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as problem:
            if "does not exist" in str(problem):
                return None
            raise
        # One that is only under review has nothing but a change set that nobody executed.
        if found["StackStatus"] in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE"):
            return None
        body = cloudformation.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
        return Deployed(
            name=name,
            status=found["StackStatus"],
            template=_template(name, body),
            parameters={
                one["ParameterKey"]: one.get("ResolvedValue", one.get("ParameterValue", ""))
                for one in found.get("Parameters", [])
            },
            protected=bool(found.get("EnableTerminationProtection")),
            tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
        )

    def parameter(self, name: str) -> str | None:
        ssm = self._aws.client("ssm")
        try:
            return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return None

    def physical_ids(self, stack: str, region: str) -> Mapping[str, str]:
        pages = self._aws.client("cloudformation", region).get_paginator("list_stack_resources")
        return {
            row["LogicalResourceId"]: row.get("PhysicalResourceId", "")
            for page in pages.paginate(StackName=stack)
            for row in page["StackResourceSummaries"]
            if row["ResourceStatus"] != "DELETE_COMPLETE"
        }

    def messages(self, queue: str) -> int:
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        sqs = self._aws.client("sqs")
        try:
            found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        except sqs.exceptions.QueueDoesNotExist:
            return 0
        return sum(int(found.get(name, 0)) for name in names)

    def change_set(self, stack: str, region: str, name: str) -> ChangeSet:
        cloudformation = self._aws.client("cloudformation", region)
        changes: list[Mapping[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = cloudformation.describe_change_set(StackName=stack, ChangeSetName=name, **token)
            changes += [change["ResourceChange"] for change in page.get("Changes", []) if "ResourceChange" in change]
            if not page.get("NextToken"):
                return ChangeSet(empty=page["Status"] == "FAILED", changes=tuple(changes))
            token = {"NextToken": page["NextToken"]}

    def discard(self, stack: str, region: str, name: str) -> None:
        self._aws.client("cloudformation", region).delete_change_set(StackName=stack, ChangeSetName=name)


def _template(name: str, body: Any) -> Mapping[str, Any]:
    """boto3 reads JSON where it recognises it; everything of ours is JSON."""
    try:
        return body if isinstance(body, Mapping) else dict(json.loads(body))
    except ValueError:
        raise Refused(f"{name} has a template that is no JSON, so {NOT_OURS}") from None


# --- As an assembly ---------------------------------------------------------------------------------------------------


def deployed(wanted: Assembly, live: Live) -> Assembly:
    """What is in the account of the stacks that an environment has."""
    return as_assembly(stacks(wanted, live))


def as_assembly(found: Iterable[tuple[StackTemplate, Deployed]]) -> Assembly:
    """What is deployed instead of what is wanted."""
    return Assembly(
        tuple(
            replace(
                stack,
                template=_with_values(there.template, there.parameters),
                termination_protection=there.protected,
                tags=there.tags,
            )
            for stack, there in found
        )
    )


def stacks(wanted: Assembly, live: Live) -> Iterator[tuple[StackTemplate, Deployed]]:
    """Each stack of an environment that exists, beside what is there."""
    for stack in wanted.stacks:
        there = live.stack(stack.name, stack.region)
        if there is not None:
            yield stack, there


def foreign(there: Assembly, name: str, region: str) -> Iterator[str]:
    """Every stack that has a name of ours and is another's, or nobody's; whatever we deploy carries the tag."""
    for stack in there.stacks:
        for tag, ours in ((ENVIRONMENT_TAG, name), (REGION_TAG, region)):
            if stack.tags.get(tag) != ours:
                yield f"{stack.name} in {stack.region} has no tag {tag}={ours}, so {NOT_OURS}"


def as_of_now(wanted: Assembly, live: Live) -> Assembly:
    """The wanted templates with the values that AWS would find now where they name a parameter, such as an image."""
    named = [(stack, _names(stack.template)) for stack in wanted.stacks]
    found = {name: live.parameter(name) for _, names in named for name in names.values()}
    return Assembly(
        tuple(
            replace(
                stack,
                template=_with_values(
                    stack.template, {key: value for key, name in names.items() if (value := found[name]) is not None}
                ),
            )
            for stack, names in named
        )
    )


def _names(template: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a template that name one of the parameter store, with that name."""
    return {
        key: str(body.get("Default"))
        for key, body in (template.get("Parameters") or {}).items()
        if str(body.get("Type")).startswith(_SSM)
    }


def _with_values(template: Mapping[str, Any], values: Mapping[str, str]) -> Mapping[str, Any]:
    """The template with plain values for its parameters, so that a value that is another one now is seen."""
    written = template.get("Parameters") or {}
    given = {key: {**body, "Type": "String", "Default": values[key]} for key, body in written.items() if key in values}
    return {**template, "Parameters": {**written, **given}} if given else template


def stuck(found: Iterable[Deployed]) -> Iterator[str]:
    """Stacks in a state that takes no update, each with the way out."""
    for there in found:
        if there.status not in READY:
            way = next(text for end, text in WAYS_OUT.items() if there.status.endswith(end))
            yield f"{there.name} is {there.status}: {way} {'' if ': cdk ' in way else '--stack-name '}{there.name}"
