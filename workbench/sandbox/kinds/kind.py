"""What the local CloudFormation asks of every resource type, and what it hands to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import botocore_stubber

_SUFFIX = 12  # letters and digits at the end of a generated name


class Refused(Exception):
    """A service would say no, and moto does not; where moto does, its own error is let through."""


class NotInPlace(Exception):
    """A property that cannot be changed without a new resource: the specification should have said so."""

    def __init__(self, property: str) -> None:
        super().__init__(f"{property} cannot be changed in place")
        self.property = property


# Everything by which a kind says that something could not be done.
FAILURES = (Refused, NotInPlace, ClientError, BotoCoreError)


@dataclass(frozen=True)
class Wanted:
    """One resource as a template wants it: functions, parameters and dynamic references are plain values by now."""

    stack: str
    id: str
    type: str
    properties: Mapping[str, Any]
    tags: Mapping[str, str]  # of the stack, and aws:cloudformation:stack-id
    generation: str  # another one whenever the resource is replaced, so that generated names never meet

    def name(self, most: int = 64, *, lower: bool = False) -> str:
        """A physical name as CloudFormation makes one up: "<stack>-<id>-<suffix>", cut to `most` characters."""
        digest = hashlib.sha256("\0".join((self.stack, self.id, self.generation)).encode()).hexdigest()
        suffix = digest[:_SUFFIX].upper()
        room = most - len(suffix) - 2
        stack = self.stack[: max(room // 2, room - len(self.id))]
        name = f"{stack}-{self.id[: room - len(stack)]}-{suffix}"
        return name.lower() if lower else name

    def all_tags(self) -> dict[str, str]:
        """Tags of the stack, those that AWS adds, and the resource's own, which win."""
        written = self.properties.get("Tags") or {}
        if not isinstance(written, Mapping):
            written = {tag["Key"]: tag["Value"] for tag in written}
        ours = {"aws:cloudformation:stack-name": self.stack, "aws:cloudformation:logical-id": self.id}
        return {key: str(value) for key, value in {**self.tags, **ours, **written}.items()}


@dataclass(frozen=True)
class Made:
    """A resource that exists."""

    id: str  # what Ref gives
    attributes: Mapping[str, Any]  # what Fn::GetAtt gives, by name, such as "Endpoint.Address"


class Aws:
    """The services of moto in this process, for one region; whoever serves moto sees the same resources."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._session = boto3.Session("local", "local", region_name=region)
        self._clients: dict[str, Any] = {}
        self._moto = BotocoreStubber()
        self._moto.enabled = True

    @cached_property
    def account(self) -> str:
        account: str = self.client("sts").get_caller_identity()["Account"]
        return account

    def client(self, service: str) -> Any:
        if service not in self._clients:
            # An endpoint in the environment is meant for others: it would be ourselves, and we would wait for us.
            config = Config(ignore_configured_endpoint_urls=True, retries={"mode": "standard", "total_max_attempts": 2})
            client = self._session.client(service, config=config)
            client.meta.events.register("before-send", self._answer)
            self._clients[service] = client
        return self._clients[service]

    def _answer(self, **request: Any) -> Any:
        # Inside `mock_aws` moto answers already, and botocore would let both of us do the work.
        return None if botocore_stubber.enabled else self._moto(**request)


class Kind(Protocol):
    """What can be done with the resources of one type; all of it may raise what `FAILURES` has."""

    def create(self, aws: Aws, wanted: Wanted) -> Made: ...

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        """Change it in place."""

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        """Remove it; one that is gone already is fine."""


@runtime_checkable
class Snapshots(Protocol):
    """A kind for which DeletionPolicy and UpdateReplacePolicy may be Snapshot."""

    def snapshot(self, aws: Aws, made: Made, wanted: Wanted) -> str:
        """Take one, and return its id."""


@contextmanager
def absent_is_fine() -> Iterator[None]:
    """For deleting what somebody may have deleted before."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"].replace(".", "").lower()
        if not any(word in code for word in ("notfound", "nosuch", "nonexistent", "doesnotexist", "unknownresource")):
            raise
