"""A missing variable is the simpler shape; a malformed one is refused in words that lead to the fix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shop.settings import BadSetting, CacheNodes, Server, load

URL = {"DATABASE_URL": "postgresql://shop_app@127.0.0.1:5433/shop"}
MANAGED = {"DATABASE_ACTIVE": "managed", "DATABASE_MANAGED_ENDPOINT": "db.example.com"}
ALONE = {"DATABASE_HOST_ENDPOINT": "10.0.0.7", "DATABASE_PASSWORD": "s"}
CACHE = {**URL, "CACHE_ENDPOINT": "cache.example.com"}
TOPIC = "arn:aws:sns:eu-central-1:111122223333:events"


def test_with_a_database_alone_the_shop_has_its_simplest_shape() -> None:
    settings = load(URL)
    assert settings.primary == Server("127.0.0.1", 5433, "shop_app", "shop")
    assert (settings.replicas, settings.cache) == ((), None)
    assert (settings.files_bucket, settings.events_topic, settings.mail_from, settings.mail_rules) == (None,) * 4
    assert (settings.name, settings.listen, settings.proxies) == ("local", ("127.0.0.1", 8080), 0)
    assert (settings.pool_min, settings.pool_max, settings.pool_timeout) == (1, 8, 2.0)
    assert settings.files_folder == Path("files")


def test_an_empty_variable_counts_as_missing() -> None:
    assert load({**URL, "CACHE_ENDPOINT": "", "FILES_BUCKET": " ", "PROCESSES": "", "REPLICA_URLS": " , "}) == load(URL)


def test_without_a_word_about_it_there_is_a_process_for_each_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, processes in ((2, 2), (None, 1), (192, 64)):
        monkeypatch.setattr(os, "cpu_count", lambda found=processors: found)
        assert load(URL).processes == processes


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        pytest.param({**URL, "LISTEN": "[::1]:80"}, "listen", ("::1", 80), id="an address of version 6"),
        pytest.param({**URL, "LISTEN": "localhost:80"}, "listen", ("localhost", 80), id="a name"),
        pytest.param({**URL, "FRONT_SCHEME": "https"}, "scheme", "https", id="scheme"),
        pytest.param({**URL, "SHOP_NAME": "trial-2"}, "name", "trial-2", id="name"),
        pytest.param({**URL, "AWS_REGION": "us-gov-west-1"}, "region", "us-gov-west-1", id="region"),
        pytest.param({**URL, "DATABASE_POOL_TIMEOUT_MS": "250"}, "pool_timeout", 0.25, id="milliseconds"),
        pytest.param({**URL, "FILES_BUCKET": "shop-files"}, "files_bucket", "shop-files", id="bucket"),
        pytest.param({**URL, "FILES_BUCKET": "b", "EVENTS_TOPIC": TOPIC}, "events_topic", TOPIC, id="topic"),
        pytest.param({**URL, "MAIL_FROM": "shop@example.com"}, "mail_from", "shop@example.com", id="mail"),
        pytest.param(
            {"DATABASE_URL": "postgres://a%40b:p%3Aw%2F@db/my%20shop?sslmode=verify-full"},
            "primary",
            Server("db", 5432, "a@b", "my shop", "password", "p:w/", "verify-full"),
            id="what a URL cannot say plainly",
        ),
        pytest.param(
            {**URL, "REPLICA_URLS": "postgresql://r@one/shop, postgresql://r@two:6000/shop"},
            "replicas",
            (Server("one", 5432, "r", "shop"), Server("two", 6000, "r", "shop")),
            id="replicas by URL",
        ),
        pytest.param(
            ALONE,
            "primary",
            Server("10.0.0.7", 5432, "shop_app", "shop", "password", "s", "require"),
            id="the host's own database unless something else is said",
        ),
        pytest.param(
            {**MANAGED, "DATABASE_HOST_ENDPOINT": "10.0.0.7", "DATABASE_MANAGED_PORT": "5433"},
            "primary",
            Server("db.example.com", 5433, "shop_app", "shop", "iam", "", "require"),
            id="the active one of two databases",
        ),
        pytest.param(
            {**MANAGED, **{f"DATABASE_MANAGED_REPLICAS_{n}": f"r{n}" for n in (10, 2, 1)}},
            "replicas",
            tuple(Server(f"r{n}", 5432, "shop_app", "shop", "iam", "", "require") for n in (1, 2, 10)),
            id="replicas in the order of their numbers",
        ),
        pytest.param(
            {**ALONE, "DATABASE_MANAGED_REPLICAS_1": "r1"},
            "replicas",
            (),
            id="no replicas of a database that is not active",
        ),
        pytest.param(
            {**URL, "CACHE_NODES": "a:7000,b:7001"},
            "cache",
            CacheNodes((("a", 7000), ("b", 7001))),
            id="cache nodes on a laptop",
        ),
        pytest.param(
            {**CACHE, "CACHE_NAME": "shop", "CACHE_USER": "shop-app"},
            "cache",
            CacheNodes((("cache.example.com", 6379),), "iam", "shop-app", "", "shop", True),
            id="a managed cache",
        ),
        pytest.param(
            {**CACHE, "CACHE_AUTH": "password", "CACHE_PASSWORD": "s", "CACHE_TLS": "no", "CACHE_PORT": "6380"},
            "cache",
            CacheNodes((("cache.example.com", 6380),), "password", "", "s"),
            id="a cache with a password",
        ),
    ],
)
def test_a_variable_chooses_its_part_of_the_shape(given: dict[str, str], name: str, expected: Any) -> None:
    assert getattr(load(given), name) == expected


@pytest.mark.parametrize(
    ("variable", "value", "fix", "others"),
    [
        ("DATABASE_URL", "mysql://a@b/c", "postgresql://user@host:port/name", {}),
        ("DATABASE_URL", "postgresql://a@b", "postgresql://user@host:port/name", {}),
        ("DATABASE_URL", "postgresql:///shop", "postgresql://user@host:port/name", {}),
        ("DATABASE_URL", "postgresql://a@b:port/c", "postgresql://user@host:port/name", {}),
        ("DATABASE_URL", "postgresql://a@b/c?sslmode=maybe", "?sslmode=", {}),
        ("DATABASE_URL", "postgresql://a@b/c?target_session_attrs=any", "?sslmode=", {}),
        ("DATABASE_URL", "postgresql://a@b c/d", "postgresql://user@host:port/name", {}),
        ("REPLICA_URLS", "postgresql://a@b/c,nowhere", "with commas between them", URL),
        ("DATABASE_ACTIVE", "both", "host, managed", {}),
        ("DATABASE_AUTH", "token", "iam, password, none", MANAGED),
        ("DATABASE_AUTH", "password", "DATABASE_PASSWORD", MANAGED),
        ("DATABASE_MANAGED_ENDPOINT", "db.example.com:5432", "without a port", {"DATABASE_ACTIVE": "managed"}),
        ("DATABASE_MANAGED_ENDPOINT", "postgresql://a:b@c/d", "without a port", {"DATABASE_ACTIVE": "managed"}),
        ("DATABASE_MANAGED_ENDPOINT", "two words", "without a port", ALONE),
        ("DATABASE_MANAGED_REPLICAS_1", "db:5432", "without a port", MANAGED),
        ("DATABASE_MANAGED_PORT", "none", "a whole number from 1 to 65535", ALONE),
        ("DATABASE_SSLMODE", "yes", "verify-full", MANAGED),
        ("DATABASE_SSLMODE", "prefer", "require or stricter", MANAGED),
        ("DATABASE_MANAGED_PORT", "postgres", "a whole number from 1 to 65535", MANAGED),
        ("DATABASE_POOL_MIN", "-1", "a whole number from 0 to 100", URL),
        ("DATABASE_POOL_MIN", "9", "at most DATABASE_POOL_MAX, which is 8", URL),
        ("DATABASE_POOL_MAX", "0", "a whole number from 1 to 100", URL),
        ("DATABASE_POOL_TIMEOUT_MS", "2s", "a whole number from 10 to 60000", URL),
        ("LISTEN", "8080", "host:port", URL),
        ("LISTEN", "two words:80", "host:port", URL),
        ("LISTEN", ":8080", "host:port", URL),
        ("LISTEN", "0.0.0.0:http", "host:port", URL),
        ("LISTEN", "0.0.0.0:65536", "host:port", URL),
        ("LISTEN", "0.0.0.0:-1", "host:port", URL),
        ("PROCESSES", "many", "a whole number from 1 to 64", URL),
        ("PROCESSES", "1.5", "a whole number from 1 to 64", URL),
        ("FRONT_HOPS", "6", "a whole number from 0 to 5", URL),
        ("FRONT_SCHEME", "HTTPS", "http or https", URL),
        ("SHOP_NAME", "My Shop", "small letters, digits and hyphens", URL),
        ("AWS_REGION", "Frankfurt", "a region, such as eu-central-1", URL),
        ("FILES_BUCKET", "s3://files", "the name of a bucket", URL),
        ("EVENTS_TOPIC", "events", "the ARN of a topic", URL),
        ("MAIL_FROM", "the shop", "an address, such as shop@example.com", URL),
        ("MAIL_FROM", "a@b\nBcc: c@d", "an address, such as shop@example.com", URL),
        ("CACHE_NODES", "one:7000,two", "host:port, several with commas between them", URL),
        ("CACHE_ENDPOINT", "c:6379", "without a port", URL),
        ("CACHE_ENDPOINT", "https://c", "without a port", URL),
        ("CACHE_PORT", "0", "a whole number from 1 to 65535", CACHE),
        ("CACHE_AUTH", "tls", "iam, password, none", URL),
        ("CACHE_TLS", "true", "yes, no", URL),
        ("CACHE_AUTH", "tls", "iam, password, none", CACHE),
        ("CACHE_AUTH", "iam", "CACHE_NAME, CACHE_USER and CACHE_TLS=yes", CACHE),
        ("CACHE_AUTH", "iam", "CACHE_TLS=yes", {**CACHE, "CACHE_NAME": "a", "CACHE_USER": "b", "CACHE_TLS": "no"}),
        ("CACHE_AUTH", "password", "CACHE_PASSWORD", CACHE),
        ("CACHE_TLS", "true", "yes, no", CACHE),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_value_and_fix(
    variable: str, value: str, fix: str, others: dict[str, str]
) -> None:
    with pytest.raises(BadSetting) as refused:
        load({**others, variable: value})
    text = str(refused.value)
    assert text.startswith(variable)
    if "://" in value:
        assert "makes no sense" in text
    else:
        assert (repr(value) if not value.lstrip("-").isdecimal() else value) in text
    assert fix in text


@pytest.mark.parametrize(
    ("given", "missing"),
    [({}, "DATABASE_HOST_ENDPOINT"), ({"DATABASE_ACTIVE": "managed"}, "DATABASE_MANAGED_ENDPOINT")],
)
def test_a_shop_without_a_database_says_what_to_set(given: dict[str, str], missing: str) -> None:
    with pytest.raises(BadSetting, match=f"no database: DATABASE_URL is missing .*{missing} too; set one of them"):
        load(given)


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        ({**URL, "DATABASE_AUTH": "iam"}, "DATABASE_AUTH is set beside DATABASE_URL"),
        ({**URL, "DATABASE_PASSWORD": "s3cret"}, "DATABASE_PASSWORD is set beside DATABASE_URL"),
        ({**URL, **MANAGED}, "DATABASE_ACTIVE is set beside DATABASE_URL"),
        ({**MANAGED, "REPLICA_URLS": "nonsense"}, "REPLICA_URLS is set without DATABASE_URL"),
        ({**URL, "EVENTS_TOPIC": TOPIC}, "EVENTS_TOPIC is set without FILES_BUCKET"),
        ({**CACHE, "CACHE_NODES": "a:7000"}, "CACHE_NODES is set beside CACHE_ENDPOINT"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, str], beside: str) -> None:
    with pytest.raises(BadSetting, match=beside) as refused:
        load(given)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://a:open@sesame@b:port/c"),
        ("DATABASE_URL", "postgresql:/a:sesame@b/c"),
        ("DATABASE_URL", "a:sesame@b/c"),
        ("REPLICA_URLS", "postgresql://a:sesame#@b/c"),
        ("CACHE_ENDPOINT", "rediss://a:sesame@b"),
    ],
)
def test_a_refusal_never_shows_a_password(variable: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"^{variable} makes no sense; it has to be") as refused:
        load({**URL, variable: value})
    assert "open" not in str(refused.value)
    assert "sesame" not in str(refused.value)
