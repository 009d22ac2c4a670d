"""A local CloudFormation whose resources are entries in a dictionary, so that only the engine is at work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import count
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from workbench.sandbox.api import answer
from workbench.sandbox.engine import Engine
from workbench.sandbox.kinds.kind import Aws, Kind, Made, NotInPlace, Refused, Wanted
from workbench.sandbox.stacks import Stacks

REGION = "us-east-1"
_NUMBERS = count(1)
_SESSION = boto3.Session("local", "local", region_name=REGION)
_AWS = cache(Aws)


class Things:
    """One kind for several types: what is there by physical id, and everything that was done, in order.

    What `DisplayName` says: "refuse" fails, "clings" cannot be deleted, "new" cannot be set in place.
    """

    def __init__(self) -> None:
        self.there: dict[str, Wanted] = {}
        self.done: list[str] = []

    def create(self, aws: Aws, wanted: Wanted) -> Made:  # noqa: ARG002
        name = wanted.properties.get("TopicName") or wanted.name()
        if name in self.there:
            raise Refused(f"{name} already exists")
        return self._put("create", name, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        if after.properties.get("DisplayName") == "new":
            raise NotInPlace("DisplayName")
        return self._put("update", made.id, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        if wanted.properties.get("DisplayName") == "clings":
            raise Refused(f"{wanted.id} is still in use")
        self.done.append(f"delete {wanted.id}")
        del self.there[made.id]

    def snapshot(self, aws: Aws, made: Made, wanted: Wanted) -> str:  # noqa: ARG002
        self.done.append(f"snapshot {wanted.id}")
        return f"snapshot-of-{wanted.id}"

    def _put(self, verb: str, name: str, wanted: Wanted) -> Made:
        if wanted.properties.get("DisplayName") == "refuse":
            raise Refused("the service says no")
        self.done.append(f"{verb} {wanted.id}")
        self.there[name] = wanted
        return Made(name, {"TopicName": name, "VersionId": str(len(self.done))})

    def wanted(self) -> dict[str, Mapping[str, Any]]:
        """The properties of what is there, by logical id and stack."""
        return {f"{one.stack}/{one.id}": one.properties for one in self.there.values()}


class Pretend:
    """An account with its CloudFormation, reached with boto3 and no network."""

    def __init__(self, *types: str, kinds: Mapping[str, Kind] | None = None) -> None:
        self.things = Things()
        self.engine = Engine(Stacks(_AWS), kinds or dict.fromkeys(types or ("AWS::SNS::Topic",), self.things))
        config = Config(retries={"max_attempts": 0}, ignore_configured_endpoint_urls=True)
        self.api: Any = _SESSION.client("cloudformation", config=config)
        self.api.meta.events.register("before-send.cloudformation", self._send)

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        body = request.body if isinstance(request.body, str) else request.body.decode()
        status, text = answer(self.engine, REGION, body)
        response = AWSResponse(request.url, status, {}, None)
        response._content = text.encode()
        return response

    def deploy(self, stack: str, template: Mapping[str, Any], **more: Any) -> str:
        """The status of the stack after a deployment by change set, as the CDK makes it; "" without changes."""
        there = [one["StackStatus"] for one in self.stacks() if one["StackName"] == stack]
        how = "UPDATE" if there and there != ["REVIEW_IN_PROGRESS"] else "CREATE"
        name, execute = f"set-{next(_NUMBERS)}", {"DisableRollback": more.pop("DisableRollback", False)}
        asked = {"StackName": stack, "ChangeSetName": name, "ChangeSetType": how, "TemplateBody": json.dumps(template)}
        self.api.create_change_set(**asked, **more)
        said = self.api.describe_change_set(StackName=stack, ChangeSetName=name)
        if said["Status"] == "FAILED" and "didn't contain changes" in said["StatusReason"]:
            self.api.delete_change_set(StackName=stack, ChangeSetName=name)
            return ""
        if said["Status"] == "FAILED":
            return f"{said['Status']}: {said['StatusReason']}"
        self.api.execute_change_set(StackName=stack, ChangeSetName=name, **execute)
        return str(self.stack(stack)["StackStatus"])

    def stack(self, name: str) -> Any:
        return self.api.describe_stacks(StackName=name)["Stacks"][0]

    def stacks(self) -> Any:
        return self.api.describe_stacks()["Stacks"]

    def changes(self, stack: str, template: Mapping[str, Any], **more: Any) -> Any:
        """What a change set says, without executing it."""
        name = f"set-{next(_NUMBERS)}"
        asked = {"StackName": stack, "ChangeSetName": name, "TemplateBody": json.dumps(template)}
        self.api.create_change_set(**asked, **more)
        said = self.api.describe_change_set(StackName=stack, ChangeSetName=name)
        self.api.delete_change_set(StackName=stack, ChangeSetName=name)
        return said

    def events(self, stack: str) -> list[tuple[str, str]]:
        """(logical id, status), the oldest first."""
        told = self.api.describe_stack_events(StackName=stack)["StackEvents"]
        return [(one["LogicalResourceId"], one["ResourceStatus"]) for one in reversed(told)]


def template(outputs: Mapping[str, Any] | None = None, /, **resources: Mapping[str, Any]) -> dict[str, Any]:
    """Topics by logical id; what stands beside the properties, such as a policy, is in `_`."""
    made: dict[str, Any] = {}
    for name, body in resources.items():
        properties = {key: value for key, value in body.items() if key != "_"}
        made[name] = {"Type": "AWS::SNS::Topic", "Properties": properties, **body.get("_", {})}
    return {"Resources": made, **({"Outputs": dict(outputs)} if outputs else {})}


def exporting(value: Any, name: str = "shared") -> dict[str, Any]:
    """The outputs of a template that exports a value."""
    return {"Out": {"Value": value, "Export": {"Name": name}}}
