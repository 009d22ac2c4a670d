"""CloudFormation's API, as far as the CDK command line and boto3's users go: requests in, XML out."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlparse

from botocore import xform_name
from moto.core.parse import QueryParser
from moto.core.serialize import QuerySerializer
from moto.core.utils import get_service_model

from workbench.sandbox.change_sets import NO_CHANGES, ChangeSet, described
from workbench.sandbox.engine import NO_ROLLBACK, Engine
from workbench.sandbox.kinds.kind import FAILURES
from workbench.sandbox.stacks import GONE, NEVER_COMPLETE, REVIEW, Stack, Surroundings, Target
from workbench.sandbox.values import Parameter, TemplateError, parameters, read

# What `sandbox up` says of it.
LIMITS = (
    "CloudFormation: no macros, mappings, nested stacks, custom resources, imports of what exists, drift, stack sets, "
    "hooks. A type of resource that is not known here is an error, before anything of its stack is changed.",
)
LARGEST_BODY, LARGEST_FILE = 51_200, 1_000_000
_MODEL = get_service_model("cloudformation")
Asked = Mapping[str, Any]
Answer = dict[str, Any]


class ApiError(Exception):
    """What CloudFormation answers to a request that it does not carry out."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.message, self.code = message, code


def answer(engine: Engine, region: str, body: str) -> tuple[int, str]:
    """The HTTP status and the XML for one request."""
    form = dict(parse_qsl(body, keep_blank_values=True))
    action = form.get("Action", "")
    known = action in _MODEL.operation_names
    operation = _MODEL.operation_model(action if known else "DescribeStacks")
    result: Any
    try:
        carry_out = getattr(Api(engine, region), xform_name(action), None) if known else None
        if carry_out is None:
            raise ApiError(f"The local CloudFormation does not know {action or 'a request without an Action'}")
        asked = QueryParser(operation).parse({"values": form})  # type: ignore[typeddict-item]
        result = carry_out(asked) or {}
    except ApiError as problem:
        result = problem
    except TemplateError as problem:
        result = ApiError(str(problem))
    said = QuerySerializer(operation).serialize(result)
    return said["status_code"], str(said["body"])


class Api:
    """The operations for one region, by botocore's names."""

    def __init__(self, engine: Engine, region: str) -> None:
        self._engine, self._stacks, self._region = engine, engine.stacks, region

    # --- what there is -----------------------------------------------------------------------------------------------

    def describe_stacks(self, asked: Asked) -> Answer:
        stacks = [self._stack(asked)] if "StackName" in asked else self._stacks.all(self._region)
        return {"Stacks": [_description(stack) for stack in stacks]}

    def list_stacks(self, asked: Asked) -> Answer:
        wanted = asked.get("StackStatusFilter")
        stacks = [_description(stack) for stack in self._stacks.all(self._region, deleted=True)]
        return {"StackSummaries": [stack for stack in stacks if not wanted or stack["StackStatus"] in wanted]}

    def describe_stack_events(self, asked: Asked) -> Answer:
        stack = self._stack(asked, "Stack [{}] does not exist")
        return {"StackEvents": list(stack.events)[::-1]}

    def describe_events(self, asked: Asked) -> Answer:  # noqa: ARG002
        return {"OperationEvents": []}  # of hooks and early validation, which are not here

    def list_hook_results(self, asked: Asked) -> Answer:  # noqa: ARG002
        return {"HookResults": []}

    def describe_stack_resources(self, asked: Asked) -> Answer:
        found = list(_resources(self._stack(asked), asked.get("LogicalResourceId")))
        return {"StackResources": [{**one, "Timestamp": one["LastUpdatedTimestamp"]} for one in found]}

    def list_stack_resources(self, asked: Asked) -> Answer:
        return {"StackResourceSummaries": list(_resources(self._stack(asked)))}

    def list_exports(self, asked: Asked) -> Answer:  # noqa: ARG002
        exports = sorted(self._stacks.exports(self._region), key=lambda export: export[0])
        return {"Exports": [{"Name": n, "Value": v, "ExportingStackId": owner.id} for n, v, owner in exports]}

    def get_template(self, asked: Asked) -> Answer:
        target = self._change_set(asked).target if "ChangeSetName" in asked else self._stack(asked).target
        return {"TemplateBody": target.text if target else "{}", "StagesAvailable": ["Original", "Processed"]}

    def get_template_summary(self, asked: Asked) -> Answer:
        stack = self._stack(asked) if "StackName" in asked else None
        template = read(self._text({**asked, "UsePreviousTemplate": True} if stack else asked, stack))
        types = {body["Type"] for body in template["Resources"].values()}
        declared = [
            {
                "ParameterKey": name,
                "ParameterType": body["Type"],
                "DefaultValue": body.get("Default"),
                "NoEcho": body.get("NoEcho", False),
                "Description": body.get("Description"),
            }
            for name, body in (template.get("Parameters") or {}).items()
        ]
        return {"Description": template.get("Description"), "Parameters": declared, "ResourceTypes": sorted(types)}

    # --- change sets -------------------------------------------------------------------------------------------------

    def create_change_set(self, asked: Asked) -> Answer:
        name, set_name = asked["StackName"], asked["ChangeSetName"]
        how = asked.get("ChangeSetType", "UPDATE")
        stack = self._stacks.find(name, self._region)
        if how not in ("CREATE", "UPDATE"):
            raise ApiError("The local CloudFormation does not import resources that exist")
        if how == "CREATE" and stack is not None and stack.status != REVIEW:
            said = f"Stack [{name}] already exists and cannot be created again with the changeSet [{set_name}]."
            raise ApiError(said, "AlreadyExistsException")
        if how == "UPDATE":
            stack = self._updatable(asked)
        if stack is not None and any(one.name == set_name for one in stack.change_sets.values()):
            raise ApiError(f"ChangeSet [{set_name}] already exists", "AlreadyExistsException")
        target = self._target(asked, stack)
        if stack is None:
            stack = self._add(name)
            stack.tell(REVIEW, "User Initiated")
        unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{stack.id}/{set_name}/{len(stack.events)}/{len(stack.change_sets)}")
        id_ = f"arn:aws:cloudformation:{stack.region}:{stack.account}:changeSet/{set_name}/{unique}"
        made = ChangeSet(id_, set_name, stack, target, description=asked.get("Description", ""))
        try:
            plan = self._engine.plan(stack, target)
            made.changes, made.failure = plan.changes, "" if plan.differs else NO_CHANGES
        except (TemplateError, *FAILURES) as problem:
            made.failure = str(problem)
        stack.change_sets[id_] = made
        return {"Id": id_, "StackId": stack.id}

    def describe_change_set(self, asked: Asked) -> Answer:
        found = self._change_set(asked)
        told = _summary(found)
        changes = [described(change, found.stack, found.target) for change in found.changes]
        told["Changes"] = [{"Type": "Resource", "ResourceChange": change} for change in changes]
        return {**told, "Parameters": _parameters(found.target), "Tags": _tags(found.target)}

    def list_change_sets(self, asked: Asked) -> Answer:
        return {"Summaries": [_summary(one) for one in self._stack(asked).change_sets.values()]}

    def delete_change_set(self, asked: Asked) -> None:
        for found in self._change_sets(asked):
            found.stack.change_sets.pop(found.id)

    def execute_change_set(self, asked: Asked) -> None:
        found = self._change_set(asked)
        if found.failure or found.stack.busy:
            state = "FAILED" if found.failure else found.stack.status
            said = f"ChangeSet [{found.id}] cannot be executed in its current status of [{state}]"
            raise ApiError(said, "InvalidChangeSetStatus")
        found.stack.change_sets.clear()  # the others were made for what the stack is no longer
        self._deploy(found.stack, found.target, asked)

    # --- stacks ------------------------------------------------------------------------------------------------------

    def create_stack(self, asked: Asked) -> Answer:
        if self._stacks.find(asked["StackName"], self._region):
            raise ApiError(f"Stack [{asked['StackName']}] already exists", "AlreadyExistsException")
        target = self._target(asked, None)
        stack = self._add(asked["StackName"])
        stack.protected = bool(asked.get("EnableTerminationProtection"))
        self._deploy(stack, target, asked)
        return {"StackId": stack.id}

    def update_stack(self, asked: Asked) -> Answer:
        stack = self._updatable(asked)
        target = self._target(asked, stack)
        if not self._engine.plan(stack, target).differs:
            raise ApiError("No updates are to be performed.")
        self._deploy(stack, target, asked)
        return {"StackId": stack.id}

    def rollback_stack(self, asked: Asked) -> None:  # noqa: ARG002
        raise ApiError(f"In the local AWS {NO_ROLLBACK}")

    def delete_stack(self, asked: Asked) -> None:
        stack = self._stacks.find(asked["StackName"], self._region)
        if stack is None or stack.status == GONE:
            return
        if stack.protected:
            raise ApiError(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
        if stack.busy:
            raise ApiError(f"Stack [{stack.name}] cannot be deleted while in status {stack.status}")
        self._engine.delete(stack)

    def update_termination_protection(self, asked: Asked) -> Answer:
        stack = self._stack(asked)
        stack.protected = bool(asked["EnableTerminationProtection"])
        return {"StackId": stack.id}

    # --- what requests name and carry --------------------------------------------------------------------------------

    def _stack(self, asked: Asked, missing: str = "Stack with id {} does not exist") -> Stack:
        stack = self._stacks.find(asked["StackName"], self._region)
        if stack is None:
            raise ApiError(missing.format(asked["StackName"]))
        return stack

    def _updatable(self, asked: Asked) -> Stack:
        stack = self._stack(asked, "Stack [{}] does not exist")
        never = stack.status in NEVER_COMPLETE and not stack.keeps_failures
        if never or stack.busy or stack.status in (REVIEW, GONE, "DELETE_FAILED"):
            raise ApiError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        return stack

    def _add(self, name: str) -> Stack:
        if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
            raise ApiError(f"Stack name {name!r} must be letters, digits and hyphens, and begin with a letter")
        return self._stacks.add(name, self._region)

    def _deploy(self, stack: Stack, target: Target, asked: Asked) -> None:
        stack.keeps_failures = bool(asked.get("DisableRollback"))
        self._engine.deploy(stack, target)

    def _change_sets(self, asked: Asked) -> list[ChangeSet]:
        stack = self._stacks.find(asked.get("StackName", ""), self._region)
        sets = [one for each in ([stack] if stack else self._stacks.all()) for one in each.change_sets.values()]
        named = asked["ChangeSetName"]
        return [one for one in sets if named == one.id or (stack and named == one.name)]

    def _change_set(self, asked: Asked) -> ChangeSet:
        for found in self._change_sets(asked):
            return found
        raise ApiError(f"ChangeSet [{asked['ChangeSetName']}] does not exist", "ChangeSetNotFound")

    def _target(self, asked: Asked, stack: Stack | None) -> Target:
        text = self._text(asked, stack)
        template = read(text)
        gives_rights = any(body["Type"].startswith("AWS::IAM::") for body in template["Resources"].values())
        if gives_rights and not {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"} & {*asked.get("Capabilities", ())}:
            raise ApiError("Requires capabilities : [CAPABILITY_IAM]", "InsufficientCapabilitiesException")
        before = stack.target.parameters if stack and stack.target else {}
        given = dict(_given(asked.get("Parameters", ()), before))
        tags = {tag["Key"]: tag["Value"] for tag in asked.get("Tags", ())}
        if "Tags" not in asked and stack and stack.target:
            tags = dict(stack.target.tags)
        return Target(text, template, parameters(template, given, Surroundings(self._stacks, self._region)), tags)

    def _text(self, asked: Asked, stack: Stack | None) -> str:
        if asked.get("UsePreviousTemplate") and stack and stack.target:
            return stack.target.text
        if "TemplateURL" in asked:
            return self._file(asked["TemplateURL"])
        body: str = asked.get("TemplateBody", "")
        if not body:
            raise ApiError("Either Template URL or Template Body must be specified.")
        if len(body.encode()) > LARGEST_BODY:
            raise ApiError(f"The template has more than {LARGEST_BODY} bytes: put it into a bucket, and give its URL")
        return body

    def _file(self, url: str) -> str:
        """A template in a bucket of ours, by any of the forms of its address."""
        address = urlparse(url)
        path = unquote(address.path).lstrip("/")
        named = re.fullmatch(r"(.+)\.s3[.-].+", address.hostname or "")
        bucket, key = (named[1], path) if named else path.partition("/")[::2]
        try:
            answered = self._stacks.aws(self._region).client("s3").get_object(Bucket=bucket, Key=key)
        except FAILURES as problem:
            raise ApiError(f"S3 error: {problem} ({url})") from problem
        content: bytes = answered["Body"].read()
        if len(content) > LARGEST_FILE:
            raise ApiError(f"{url} has more than {LARGEST_FILE} bytes, which is as long as a template may be")
        return content.decode()


# --- in the words of the API ---------------------------------------------------------------------------------------


def _given(asked: Any, before: Mapping[str, Parameter]) -> Iterator[tuple[str, str]]:
    for one in asked:
        key = one["ParameterKey"]
        if not one.get("UsePreviousValue"):
            yield key, one.get("ParameterValue", "")
        elif key in before:
            yield key, before[key].given
        else:
            raise ApiError(f"Parameter {key} has no previous value")


def _parameters(target: Target | None) -> list[Answer]:
    return [
        {
            "ParameterKey": name,
            "ParameterValue": "****" if one.hidden else one.given,
            "ResolvedValue": one.text if one.fetched else None,
        }
        for name, one in (target.parameters.items() if target else ())
    ]


def _tags(target: Target | None) -> list[Answer]:
    return [{"Key": key, "Value": value} for key, value in (target.tags.items() if target else ())]


def _description(stack: Stack) -> Answer:
    outputs = [
        {
            "OutputKey": name,
            "OutputValue": output.value,
            "Description": output.description or None,
            "ExportName": output.export or None,
        }
        for name, output in stack.outputs.items()
    ]
    description = stack.target.template.get("Description") if stack.target else None
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": description,
        "TemplateDescription": description,
        "Parameters": _parameters(stack.target),
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason or None,
        "DisableRollback": stack.keeps_failures,
        "Outputs": outputs,
        "Tags": _tags(stack.target),
        "EnableTerminationProtection": stack.protected,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def _resources(stack: Stack, logical_id: str | None = None) -> Iterator[Answer]:
    for one in list(stack.resources.values()):
        if logical_id in (None, one.id):
            yield {
                "StackName": stack.name,
                "StackId": stack.id,
                "LogicalResourceId": one.id,
                "PhysicalResourceId": one.made.id,
                "ResourceType": one.wanted.type,
                "LastUpdatedTimestamp": one.since,
                "ResourceStatus": one.status,
                "ResourceStatusReason": one.reason or None,
                "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
            }


def _summary(found: ChangeSet) -> Answer:
    return {
        "ChangeSetId": found.id,
        "ChangeSetName": found.name,
        "StackId": found.stack.id,
        "StackName": found.stack.name,
        "Description": found.description or None,
        "CreationTime": found.created,
        "Status": "FAILED" if found.failure else "CREATE_COMPLETE",
        "StatusReason": found.failure or None,
        "ExecutionStatus": "UNAVAILABLE" if found.failure else "AVAILABLE",
    }
