"""Clients of AWS as the jobs use them: one each, made when first needed, and soon tired of waiting."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

CONNECT_SECONDS, READ_SECONDS = 2, 5


@cache
def client(service: str, attempts: int = 3) -> Any:
    """One attempt is for what must not happen twice: botocore repeats a request whose answer got lost."""
    retries = {"mode": "standard", "total_max_attempts": attempts}
    return boto3.client(
        service, config=Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries=retries)
    )


def never_accepted(error: BotoCoreError | ClientError) -> bool:
    """Whether nothing can have happened. A lost answer leaves that open, and so does an error of the service."""
    if isinstance(error, ClientError):
        return 400 <= int(error.response["ResponseMetadata"]["HTTPStatusCode"]) < 500
    return isinstance(error, ConnectTimeoutError | EndpointConnectionError | ParamValidationError | NoCredentialsError)
