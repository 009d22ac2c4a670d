"""What the application finds out at run time: one parameter a fact, under the environment's own path."""

from __future__ import annotations

from aws_cdk import aws_ssm as ssm
from constructs import Construct


def publish(scope: Construct, construct_id: str, *, path: str, value: str, meaning: str) -> ssm.StringParameter:
    """Publish `value`, for instance an endpoint under `/shop/cache/endpoint`."""
    return ssm.StringParameter(scope, construct_id, parameter_name=path, string_value=value, description=meaning)
