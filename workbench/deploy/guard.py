"""Whose account this is: asked before anything else, and nothing goes on when the answer is not the written one."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from blueprint.environment import UNSET_ACCOUNT, Environment
from workbench.deploy import Refused

SANDBOX = Path("build/sandbox")  # where `blueprint sandbox` has its files


class Clients(Protocol):
    """Where clients of AWS services come from."""

    def client(self, service: str, region: str | None = None) -> Any: ...


@dataclass(frozen=True)
class Caller:
    """Who acts, as AWS sees it."""

    account: str
    arn: str

    @property
    def is_local(self) -> bool:
        """Whether a local AWS has answered, whatever the variables say: nobody's account has this number."""
        return self.account == UNSET_ACCOUNT


def guard(environment: Environment, aws: Clients, *, variables: Mapping[str, str] = os.environ) -> Caller:
    """The caller, who is in the environment's own account; everybody else is refused."""
    from botocore.exceptions import EndpointConnectionError

    if environment.account == UNSET_ACCOUNT and not is_local(variables):
        raise Refused(
            f"{environment.name}: account is not set, and only a local AWS has none. {_to_local()}; for AWS itself, "
            "write the twelve digits that `aws sts get-caller-identity` prints as account in the environment's file"
        )
    sts = aws.client("sts")
    if _is_loopback(sts.meta.endpoint_url) and not is_local(variables):
        raise Refused(
            f"{sts.meta.endpoint_url} would say whose account this is, and other services are not on this machine; "
            "set AWS_ENDPOINT_URL alone for a local AWS, or no endpoint at all. Nothing was changed"
        )
    try:
        found = sts.get_caller_identity()
    except EndpointConnectionError:
        if not _is_loopback(sts.meta.endpoint_url):
            raise
        raise Refused(
            f"No local AWS answers at {sts.meta.endpoint_url}. {_to_local()}; or unset the variables that name it "
            "(close this terminal). Nothing was changed"
        ) from None
    if found["Account"] != environment.account:
        raise Refused(
            f"{environment.name}: belongs to account {environment.account}, and these credentials are for "
            f"{found['Account']} ({found['Arn']}); set AWS_PROFILE to the right ones. Nothing was changed"
        )
    return Caller(found["Account"], found["Arn"])


def _to_local() -> str:
    """What points this terminal at a local AWS, and starts one where none runs."""
    from workbench.sandbox.local import CannotStart, Local

    try:
        runs = SANDBOX.is_dir() and Local(SANDBOX).status() is not None
    except CannotStart:  # another command is starting it
        runs = True
    point = 'eval "$(blueprint sandbox env)"'
    return f"One runs; point this terminal at it: {point}" if runs else f"Start one: blueprint sandbox up, then {point}"


def is_local(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether every call goes to this machine, whichever service it is for."""
    if variables.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return False
    addresses = [value for name, value in variables.items() if name.startswith("AWS_ENDPOINT_URL_")]
    return all(map(_is_loopback, [variables.get("AWS_ENDPOINT_URL", ""), *addresses]))


def _is_loopback(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
