"""Findings of cdk-nag that we looked at and accept, each beside the resource it is about and with its reason."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, *rules: str, because: str) -> None:
    """Accept findings such as `EC23` or `IAM5[Resource::*]` on `construct` and what is inside it."""
    for rule in rules:
        cdk.Validations.of(construct).acknowledge(
            cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=because)
        )
