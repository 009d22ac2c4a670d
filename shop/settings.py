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
URL = "postgresql://user@host:port/name, with ?sslmode=... at most"
# A name, or an address of version 4 or 6.
HOST = r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"


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
    scheme: str  # what visitors speak; without a word about it, what the proxy says
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
        scheme=given.like("FRONT_SCHEME", "", "https?", "http or https"),
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
        raise _bad("DATABASE_POOL_MIN", settings.pool_min, f"at most DATABASE_POOL_MAX, which is {settings.pool_max}")
    if settings.files_bucket is None:
        given.refuse("EVENTS_TOPIC", "without FILES_BUCKET; set it too, as workers read the facts of an event there")
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
            raise _bad(name, value, wanted) from None

    def like(self, name: str, default: str, pattern: str, wanted: str) -> str:
        value = self.text(name, default)
        if value != default and not re.fullmatch(pattern, value):
            raise _bad(name, value, wanted)
        return value

    def host(self, name: str) -> str:
        return self.like(name, "", HOST, "a host's name or address, without a port")

    def whole(self, name: str, default: int, lowest: int, highest: int) -> int:
        number = self.read(name, str(default), int, f"a whole number from {lowest} to {highest}")
        if not lowest <= number <= highest:
            raise _bad(name, number, f"a whole number from {lowest} to {highest}")
        return number

    def one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise _bad(name, value, f"one of {', '.join(allowed)}")
        return value

    def names(self, pattern: str) -> list[str]:
        """All that are given and of this form, numbered ones in the order of their numbers."""
        found = [name for name in self._given if re.fullmatch(pattern, name) and self.maybe(name)]
        return sorted(found, key=lambda name: (len(name), name))

    def refuse(self, pattern: str, why: str) -> None:
        for name in self.names(pattern):
            raise BadSetting(f"{name} is set {why}")


def _bad(name: str, value: object, wanted: str) -> BadSetting:
    """A URL may hold a password, which has no business in a log, and where it would stand in a bad one nobody knows."""
    what = "makes no sense" if "URL" in name.upper() or "://" in str(value) else f"is {value!r}"
    return BadSetting(f"{name} {what}; it has to be {wanted}")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    host = host.strip("[]")
    if not (re.fullmatch(HOST, host) and port.isdecimal() and int(port) <= 65535):
        raise ValueError(text)
    return host, int(port)


def _addresses(text: str) -> tuple[tuple[str, int], ...]:
    return tuple(_address(part) for part in text.split(","))


def _servers(text: str) -> tuple[Server, ...]:
    return tuple(_server(part) for part in text.split(",") if part.strip())


def server(name: str, url: str) -> Server:
    """What a URL says; raises BadSetting, which does not repeat it."""
    return Variables({name: url}).read(name, "", _server, URL)


def _server(url: str) -> Server:
    parts = urlsplit(url.strip())
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    sslmode = options.pop("sslmode", "prefer")
    host, known = parts.hostname or "", parts.scheme in ("postgresql", "postgres") and sslmode in SSL_MODES
    if not (known and re.fullmatch(HOST, host) and len(parts.path) > 1) or options:
        raise ValueError(url)
    user, password = unquote(parts.username or "shop_app"), unquote(parts.password or "")
    auth = "password" if password else "none"
    return Server(host, parts.port or 5432, user, unquote(parts.path[1:]), auth, password, sslmode)


def _databases(given: Variables) -> tuple[Server, tuple[Server, ...]]:
    """By URL on a laptop; on a host by what is published, where one pointer says which database is active."""
    if given.maybe("DATABASE_URL"):
        given.refuse("DATABASE_(?!URL|POOL_).*", "beside DATABASE_URL, which says all of it; remove one of them")
        primary = given.read("DATABASE_URL", "", _server, URL)
        return primary, given.read("REPLICA_URLS", "", _servers, f"{URL}, several with commas between them")
    given.refuse("REPLICA_URLS", "without DATABASE_URL; set it too")
    active = given.one_of("DATABASE_ACTIVE", "host", ("host", "managed"))
    endpoint = f"DATABASE_{active.upper()}_ENDPOINT"
    if given.maybe(endpoint) is None:
        raise BadSetting(f"no database: DATABASE_URL is missing ({URL}), and {endpoint} too; set one of them")
    auth = given.one_of("DATABASE_AUTH", "iam" if active == "managed" else "password", ("iam", "password", "none"))
    sslmode = given.one_of("DATABASE_SSLMODE", "require", SSL_MODES)
    if auth == "iam" and sslmode in ("disable", "prefer"):
        raise _bad("DATABASE_SSLMODE", sslmode, "require or stricter where DATABASE_AUTH is 'iam'")
    password = given.text("DATABASE_PASSWORD", "")
    if auth == "password" and not password:
        raise BadSetting("DATABASE_AUTH is 'password'; it has to come with DATABASE_PASSWORD")

    def servers(kind: str) -> list[Server]:
        """Of the one that is not in use as well: what makes no sense is said before it is needed."""
        port = given.whole(f"DATABASE_{kind.upper()}_PORT", 5432, 1, 65535)
        hosts = map(given.host, given.names(rf"DATABASE_{kind.upper()}_(ENDPOINT|REPLICAS_\d+)"))
        user, name = given.text("DATABASE_USER", "shop_app"), given.text("DATABASE_NAME", "shop")
        return [Server(host, port, user, name, auth, password, sslmode) for host in hosts]

    host, managed = servers("host"), servers("managed")
    primary, *replicas = managed if active == "managed" else host
    return primary, tuple(replicas)


def _cache(given: Variables) -> CacheNodes | None:
    endpoint, port = given.host("CACHE_ENDPOINT"), given.whole("CACHE_PORT", 6379, 1, 65535)
    name = given.text("CACHE_NAME", "")
    auth = given.one_of("CACHE_AUTH", "iam" if name else "none", ("iam", "password", "none"))
    tls = given.one_of("CACHE_TLS", "yes" if endpoint else "no", ("yes", "no")) == "yes"
    nodes: tuple[tuple[str, int], ...] = ((endpoint, port),)
    if endpoint:
        given.refuse("CACHE_NODES", "beside CACHE_ENDPOINT; remove one of them")
    elif given.maybe("CACHE_NODES"):
        nodes = given.read("CACHE_NODES", "", _addresses, "host:port, several with commas between them")
    else:
        return None
    if auth == "iam" and not (name and given.maybe("CACHE_USER") and tls):
        raise BadSetting("CACHE_AUTH is 'iam'; it has to come with CACHE_NAME, CACHE_USER and CACHE_TLS=yes")
    if auth == "password" and not given.maybe("CACHE_PASSWORD"):
        raise BadSetting("CACHE_AUTH is 'password'; it has to come with CACHE_PASSWORD")
    return CacheNodes(nodes, auth, given.text("CACHE_USER", ""), given.text("CACHE_PASSWORD", ""), name, tls)
