"""Findings of cdk-nag that we looked at and accept, each beside the resource it is about and with its reason."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, *rules: str, because: str) -> None:
    """Accept findings such as `EC23` or `IAM5[Resource::*]` on `construct` and what is inside it."""
    for rule in rules:
        cdk.Validations.of(construct).acknowledge(
            cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=because)
        )


def wildcard(scope: IConstruct, arn: str) -> str:
    """The finding that cdk-nag reports for a policy on `arn`, written as cdk-nag writes it."""
    return f"IAM5[Resource::{_as_text(cdk.Stack.of(scope).resolve(arn))}]"


def _as_text(value: Any) -> str:
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_as_text(part) for part in parts)
    return json.dumps(value, separators=(",", ":"))
