"""What a template says, in the words of a service's API; and the inside of moto, where its API has a gap."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from moto.backends import get_backend

from workbench.sandbox.kinds.kind import FAILURES, Aws, Made, NotInPlace, Refused, Wanted, absent_is_fine


def fit(shape: Any, value: Any, rename: Mapping[str, str]) -> Any:
    """A template's value in the form that botocore's shape asks for; names differ in case, and where `rename` says."""
    match shape.type_name:
        case "structure":
            if isinstance(value, list):  # a list in templates of CloudFront
                value = {"Quantity": len(value), "Items": value}
            members = {member.lower(): member for member in shape.members}
            fitted = {}
            for key, item in value.items():
                member = members.get(rename.get(key, key).lower())
                if member is None:
                    raise Refused(f"The local AWS does not know the property {key} in {shape.name}")
                fitted[member] = fit(shape.members[member], item, rename)
            return fitted
        case "list":
            items = tag_list(value) if isinstance(value, Mapping) else value
            return [fit(shape.member, item, rename) for item in items]
        case "map":
            pairs = value if isinstance(value, Mapping) else {item["Key"]: item["Value"] for item in value}
            return {key: fit(shape.value, item, rename) for key, item in pairs.items()}
        case "string":
            return text(value)
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "boolean":
            return value if isinstance(value, bool) else value == "true"
    return value


def text(value: Any) -> str:
    """A value where an API takes text: documents as JSON, numbers and booleans as they are written in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def call(
    aws: Aws,
    service: str,
    operation: str,
    properties: Mapping[str, Any] | None = None,
    rename: Mapping[str, str] | None = None,
    /,
    **members: Any,
) -> Any:
    """What the operation answers to the template's properties and to members that are in the API's form already."""
    client = aws.client(service)
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
    return getattr(client, operation)(**fit(shape, properties or {}, rename or {}), **members)


def remove(aws: Aws, service: str, operation: str, /, **members: Any) -> None:
    """A call that deletes; what is gone already is as it should be."""
    # A KeyError comes from services of moto that look for nothing before they delete it.
    with absent_is_fine(), suppress(KeyError):
        call(aws, service, operation, **members)


def inside(aws: Aws, service: str) -> Any:
    """Moto's own model of a service, for what its API cannot do; every use says what that is."""
    backends = get_backend(service)[aws.account]  # type: ignore[call-overload]
    return backends[aws.region if aws.region in backends else "aws"]  # the second for services without regions


def is_true(value: Any) -> bool:
    return str(value).lower() == "true"


@contextmanager
def written_again(models: dict[str, Any], id_: str) -> Iterator[Any]:
    """For what moto cannot change: its model leaves, so that another is made of the same name; or it comes back."""
    old = models.pop(id_)
    try:
        yield old
    except FAILURES:
        models[id_] = old
        raise


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag(aws: Aws, arn: str, before: Wanted | None, after: Wanted) -> None:
    """The tags of `after` and none that only `before` had."""
    api, now = aws.client("resourcegroupstaggingapi"), after.all_tags()
    if gone := sorted(before.all_tags().keys() - now.keys() if before else ()):
        api.untag_resources(ResourceARNList=[arn], TagKeys=gone)
    if failed := api.tag_resources(ResourceARNList=[arn], Tags=now)["FailedResourcesMap"]:
        raise Refused(f"{arn} takes no tags: {failed}")


def without(properties: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The properties but those named, and but the tags, which `tag` brings."""
    return {name: value for name, value in properties.items() if name not in (*names, "Tags")}


def changed(before: Wanted, after: Wanted, *may_go: str) -> dict[str, Any]:
    """The properties of `after` that `before` had otherwise or not at all, without the tags."""
    old, new = without(before.properties), without(after.properties)
    if lost := sorted(old.keys() - new.keys() - set(may_go)):  # what it goes back to differs from service to service
        raise Refused(f"Taking {lost[0]} out of a template is not simulated: write the value that it is to have")
    return {name: value for name, value in new.items() if old.get(name, ...) != value}


def refuse_unknown(wanted: Wanted, *known: str) -> None:
    """For kinds that read their properties one by one: what they would pass over is refused."""
    if unknown := sorted(without(wanted.properties, *known)):
        raise Refused(f"The local AWS does not know the property {unknown[0]} of {wanted.type}")


def refuse_change(before: Wanted, after: Wanted, *can: str) -> None:
    """For kinds that can change some properties only: a change of any other is refused."""
    if fixed := sorted(without(changed(before, after, *before.properties), *can)):
        raise NotInPlace(fixed[0])


@dataclass(frozen=True)
class Kept:
    """A type of a service that has no such thing in moto: what it wants is remembered, and nothing acts on it."""

    service: str
    reason: str
    made: Callable[[Aws, Wanted], Made]

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = self.made(aws, wanted)
        if made.id in remembered(aws, self.service, wanted.type):
            raise Refused(f"{made.id} already exists")
        return self.update(aws, made, wanted, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        remembered(aws, self.service, after.type)[made.id] = {**after.properties, "Tags": tag_list(after.all_tags())}
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        remembered(aws, self.service, wanted.type).pop(made.id, None)


def remembered(aws: Aws, service: str, resource_type: str) -> dict[str, dict[str, Any]]:
    """The resources of a type that is only kept: physical id -> properties."""
    # Beside moto's own state, so that both begin and end together.
    state = vars(inside(aws, service)).setdefault("kept_for_templates", {})
    return state.setdefault(resource_type, {})  # type: ignore[no-any-return]


def arn(aws: Aws, service: str, rest: str) -> str:
    return f"arn:aws:{service}:{aws.region}:{aws.account}:{rest}"


def made_up_id(wanted: Wanted) -> str:
    """An id such as services make up, the same whenever the same is wanted."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, wanted.name(255)))


def snapshot_name(wanted: Wanted, most: int) -> str:
    """A name that no earlier snapshot has, even of a resource that was made and deleted twice."""
    return replace(wanted, id=f"snapshot-{wanted.id}", generation=str(uuid.uuid4())).name(most, lower=True)
