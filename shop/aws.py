"""AWS, as far as the shop speaks to it: clients made once, and the tokens that stand for passwords."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from redis.credentials import CredentialProvider

# A token has to be good at the moment of logging in, no longer.
CACHE_TOKEN_SECONDS = 900
KEPT_SECONDS = 600
# Below the time that a visitor waits; one more attempt, since a host's network has its moments.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def client(service: str) -> Any:
    """The one client of a service; region and credentials are the host's."""
    return boto3.client(service, config=CONFIG)


def database_token(host: str, port: int, user: str) -> str:
    """Signed here, without asking anybody: what it takes is the host's credentials."""
    return str(client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user))


class CacheLogin(CredentialProvider):
    """The user's name and a token for one cluster, good for 15 minutes and used for ten."""

    def __init__(self, cluster_name: str, user: str, region: str) -> None:
        self._cluster, self._user, self._region = cluster_name, user, region
        self._token, self._until = "", 0.0

    def get_credentials(self) -> tuple[str, str]:
        if time.monotonic() >= self._until:
            self._token, self._until = self._sign(), time.monotonic() + KEPT_SECONDS
        return self._user, self._token

    async def get_credentials_async(self) -> tuple[str, str]:
        return await asyncio.to_thread(self.get_credentials)

    def _sign(self) -> str:
        query = urlencode({"Action": "connect", "User": self._user})
        request = AWSRequest("GET", f"http://{self._cluster}/?{query}")
        credentials = boto3.Session().get_credentials()
        SigV4QueryAuth(credentials, "elasticache", self._region, CACHE_TOKEN_SECONDS).add_auth(request)
        return str(request.url).removeprefix("http://")
