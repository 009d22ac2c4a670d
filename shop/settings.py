"""The environment variables that choose the shop's shape. A missing one is the simpler shape; a malformed one stops it.

On a host they come from the parameters under `/<name>/`: `/<name>/cache/endpoint` is CACHE_ENDPOINT.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

Value = TypeVar("Value")
SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")


class BadSetting(Exception):
    """A variable that makes no sense; the text names it, its value and what would do."""


@dataclass(frozen=True)
class Server:
    """Where a database server listens, and how to log in: `auth` is `iam`, `password` or `none`."""

    host: str
    port: int
    user: str
    name: str
    auth: str = "none"
    password: str = ""
    sslmode: str = "prefer"


@dataclass(frozen=True)
class CacheNodes:
    """Where the cache cluster is found, and how to log in."""

    nodes: tuple[tuple[str, int], ...]
    auth: str = "none"
    user: str = ""
    password: str = ""
    cluster_name: str = ""
    tls: bool = False


@dataclass(frozen=True)
class Settings:
    """One process of the shop."""

    name: str
    region: str
    listen: tuple[str, int]
    processes: int
    proxies: int  # how many of them have added an address to X-Forwarded-For
    primary: Server
    replicas: tuple[Server, ...]
    pool_min: int
    pool_max: int
    pool_timeout: float
    cache: CacheNodes | None
    files_bucket: str | None
    files_folder: Path
    events_topic: str | None
    mail_from: str | None
    mail_rules: str | None


def load(variables: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; raises BadSetting."""
    given = Variables(os.environ if variables is None else variables)
    primary, replicas = _databases(given)
    settings = Settings(
        name=given.like("SHOP_NAME", "local", r"[a-z][a-z0-9-]*", "small letters, digits and hyphens"),
        region=given.like("AWS_REGION", "us-east-1", r"[a-z]{2}(-[a-z]+)+-\d", "a region, such as eu-central-1"),
        listen=given.read("LISTEN", "127.0.0.1:8080", _address, "host:port, such as 0.0.0.0:8080"),
        processes=given.whole("PROCESSES", min(os.cpu_count() or 1, 64), 1, 64),
        proxies=given.whole("FRONT_HOPS", 0, 0, 5),
        primary=primary,
        replicas=replicas,
        pool_min=given.whole("DATABASE_POOL_MIN", 1, 0, 100),
        pool_max=given.whole("DATABASE_POOL_MAX", 8, 1, 100),
        pool_timeout=given.whole("DATABASE_POOL_TIMEOUT_MS", 2000, 10, 60_000) / 1000,
        cache=_cache(given),
        files_bucket=given.like("FILES_BUCKET", "", r"[a-z0-9.-]+", "the name of a bucket") or None,
        files_folder=Path(given.text("FILES_FOLDER", "files")),
        events_topic=given.like("EVENTS_TOPIC", "", r"arn:[a-z-]+:sns:\S+", "the ARN of a topic") or None,
        mail_from=given.like("MAIL_FROM", "", r"[^@\s]+@[^@\s]+", "an address, such as shop@example.com") or None,
        mail_rules=given.maybe("MAIL_RULES"),
    )
    if settings.pool_min > settings.pool_max:
        most = settings.pool_max
        raise BadSetting(
            f"DATABASE_POOL_MIN is {settings.pool_min}; it has to be at most DATABASE_POOL_MAX, which is {most}"
        )
    if settings.events_topic is not None and settings.files_bucket is None:
        needed = "set it too, since workers read the facts of an event from there"
        raise BadSetting(f"EVENTS_TOPIC is set without FILES_BUCKET ({settings.events_topic!r}); {needed}")
    return settings


class Variables:
    """Environment variables, read one by one; an empty one counts as missing."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def maybe(self, name: str) -> str | None:
        return self._given.get(name, "").strip() or None

    def text(self, name: str, default: str) -> str:
        return self.maybe(name) or default

    def read(self, name: str, default: str, convert: Callable[[str], Value], wanted: str) -> Value:
        value = self.text(name, default)
        try:
            return convert(value)
        except ValueError:
            shown = re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", value)  # a password has no business in a log
            raise BadSetting(f"{name} is {shown!r}; it has to be {wanted}") from None

    def like(self, name: str, default: str, pattern: str, wanted: str) -> str:
        value = self.text(name, default)
        if value != default and not re.fullmatch(pattern, value):
            raise BadSetting(f"{name} is {value!r}; it has to be {wanted}")
        return value

    def whole(self, name: str, default: int, lowest: int, highest: int) -> int:
        number = self.read(name, str(default), int, f"a whole number from {lowest} to {highest}")
        if not lowest <= number <= highest:
            raise BadSetting(f"{name} is {number}; it has to be a whole number from {lowest} to {highest}")
        return number

    def one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise BadSetting(f"{name} is {value!r}; it has to be one of {', '.join(allowed)}")
        return value

    def numbered(self, prefix: str) -> list[str]:
        """The values of PREFIX_1, PREFIX_2 and so on."""
        names = (name for name in self._given if re.fullmatch(rf"{prefix}_\d+", name))
        values = (self.maybe(name) for name in sorted(names, key=lambda name: int(name.rpartition("_")[2])))
        return [value for value in values if value]


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) <= 65535):
        raise ValueError(text)
    return host.strip("[]"), int(port)


def _addresses(text: str) -> tuple[tuple[str, int], ...]:
    return tuple(_address(part) for part in text.split(","))


def _servers(text: str) -> tuple[Server, ...]:
    return tuple(_server(part) for part in text.split(",") if part.strip())


def _server(url: str) -> Server:
    parts = urlsplit(url.strip())
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    sslmode = options.pop("sslmode", "prefer")
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or len(parts.path) < 2 or options:
        raise ValueError(url)
    if sslmode not in SSL_MODES:
        raise ValueError(sslmode)
    user, password = unquote(parts.username or "shop_app"), unquote(parts.password or "")
    auth = "password" if password else "none"
    return Server(parts.hostname, parts.port or 5432, user, unquote(parts.path[1:]), auth, password, sslmode)


def _databases(given: Variables) -> tuple[Server, tuple[Server, ...]]:
    """By URL on a laptop; on a host by what is published, where one pointer says which database is active."""
    wanted = "postgresql://user@host:port/name, with ?sslmode=... at most"
    if given.maybe("DATABASE_URL"):
        primary = given.read("DATABASE_URL", "", _server, wanted)
        return primary, given.read("REPLICA_URLS", "", _servers, f"{wanted}, several with commas between them")
    active = given.one_of("DATABASE_ACTIVE", "host", ("host", "managed"))
    prefix = f"DATABASE_{active.upper()}"
    host = given.maybe(f"{prefix}_ENDPOINT")
    if host is None:
        raise BadSetting(f"no database: DATABASE_URL is missing ({wanted}), and {prefix}_ENDPOINT too; set one of them")
    auth = given.one_of("DATABASE_AUTH", "iam" if active == "managed" else "password", ("iam", "password", "none"))
    sslmode = given.one_of("DATABASE_SSLMODE", "require", SSL_MODES)
    if auth == "iam" and sslmode in ("disable", "prefer"):
        raise BadSetting(
            f"DATABASE_SSLMODE is {sslmode!r}; it has to be require or stricter where DATABASE_AUTH is 'iam'"
        )

    def server(address: str) -> Server:
        return Server(
            host=address,
            port=given.whole(f"{prefix}_PORT", 5432, 1, 65535),
            user=given.text("DATABASE_USER", "shop_app"),
            name=given.text("DATABASE_NAME", "shop"),
            auth=auth,
            password=given.text("DATABASE_PASSWORD", ""),
            sslmode=sslmode,
        )

    return server(host), tuple(server(address) for address in given.numbered(f"{prefix}_REPLICAS"))


def _cache(given: Variables) -> CacheNodes | None:
    endpoint = given.maybe("CACHE_ENDPOINT")
    if endpoint is not None:
        nodes: tuple[tuple[str, int], ...] = ((endpoint, given.whole("CACHE_PORT", 6379, 1, 65535)),)
    elif given.maybe("CACHE_NODES"):
        nodes = given.read("CACHE_NODES", "", _addresses, "host:port, several with commas between them")
    else:
        return None
    name = given.text("CACHE_NAME", "")
    auth = given.one_of("CACHE_AUTH", "iam" if name else "none", ("iam", "password", "none"))
    tls = given.one_of("CACHE_TLS", "yes" if endpoint else "no", ("yes", "no")) == "yes"
    if auth == "iam" and not (name and given.maybe("CACHE_USER") and tls):
        raise BadSetting("CACHE_AUTH is 'iam'; it has to come with CACHE_NAME, CACHE_USER and CACHE_TLS=yes")
    if auth == "password" and not given.maybe("CACHE_PASSWORD"):
        raise BadSetting("CACHE_AUTH is 'password'; it has to come with CACHE_PASSWORD")
    return CacheNodes(nodes, auth, given.text("CACHE_USER", ""), given.text("CACHE_PASSWORD", ""), name, tls)
