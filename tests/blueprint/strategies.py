"""Environment files that are valid, written in the many ways that TOML allows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from blueprint import rules
from blueprint.environment import EnvironmentFile
from blueprint.stages import STAGES

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_names = st.from_regex(r"[b-r][a-z0-9]{1,5}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
_addresses = st.tuples(*[st.integers(0, 255)] * 4).map(lambda address: f"{'.'.join(map(str, address))}/32")
_domains = st.from_regex(r"[a-z][a-z0-9]{0,9}\.(example\.)?(com|org)", fullmatch=True)
_digits = "0123456789abcdef"


def _hex(length: int) -> st.SearchStrategy[str]:
    return st.text(_digits, min_size=length, max_size=length)


def _some(**settings: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these settings."""
    return st.fixed_dictionaries({}, optional=settings)


_pins: dict[str, st.SearchStrategy[Any]] = {
    "image": _hex(17).map("ami-{}".format),
    "release": _hex(64),
    "edge_prefix_list": _hex(8).map("pl-{}".format),
    "origin_key_generation": st.integers(1, 999),
}
_tag_letters = st.sampled_from(_LETTERS + "Ä9 _.:/=+-@")
_tags = st.dictionaries(
    st.text(_tag_letters, min_size=1, max_size=20).map(lambda key: f"x{key}x".lower()),
    st.text(_tag_letters, max_size=20).map(lambda value: f"v{value}v"),
    max_size=5,
)
_host = st.sampled_from(rules.HOST_TYPES)
_job = _some(timeout_seconds=st.integers(1, 900), memory_mib=st.integers(128, 10240), concurrency=st.integers(2, 1000))


def _parts(*, production: bool) -> dict[str, st.SearchStrategy[Any]]:
    """Sizes of each part, in ranges that fit the sizes of every stage."""
    return {
        "server": _some(instance_type=_host, data_volume_gib=st.integers(10, 16384)),
        "fleet": _some(
            instance_type=_host,
            minimum=st.integers(2, 3),
            maximum=st.integers(3, 100),
            cpu_target_percent=st.integers(10, 90),
            requests_per_target=st.integers(10, 1000000),
        ),
        "database": _some(
            instance_type=st.sampled_from(rules.DATABASE_TYPES),
            storage_gib=st.integers(20, 100),
            storage_limit_gib=st.integers(110, 65536),
            multi_az=st.just(True) if production else st.booleans(),
            read_replicas=st.integers(0, 5),
        ),
        "cache": _some(
            node_type=st.sampled_from(rules.CACHE_TYPES),
            shards=st.integers(1, 15),
            replicas_per_shard=st.integers(1 if production else 0, 5),
        ),
        "cdn": _some(
            price_class=st.sampled_from(["PriceClass_100", "PriceClass_200", "PriceClass_All"]),
            requests_per_five_minutes=st.integers(100, 2000000),
        ),
        "workers": st.dictionaries(st.sampled_from(rules.JOBS), _job, max_size=3),
    }


@st.composite
def _settings(draw: st.DrawFn) -> dict[str, Any]:
    """The settings of one valid environment."""
    stage = draw(st.sampled_from(STAGES))
    region = draw(st.sampled_from(rules.REGIONS))
    production = draw(st.booleans())
    zones = st.permutations("abcdef").map(lambda letters: [region + letter for letter in sorted(letters[:3])])
    needed: dict[str, st.SearchStrategy[Any]] = {
        "name": _names,
        "stage": st.sampled_from([stage.number, stage.name]),
        "profile": st.just("production" if production else "sandbox"),
        "region": st.just(region),
    }
    site: dict[str, st.SearchStrategy[Any]] = {
        "domain": _domains,
        "hosted_zone_id": _hex(12).map(lambda digits: f"Z{digits.upper()}"),
    }
    sizes = {part: sizes for part, sizes in _parts(production=production).items() if getattr(stage, part) is not None}
    doors = st.lists(_addresses, min_size=1, max_size=2, unique=True)  # more may meet the limit of a security group
    wanted: dict[str, st.SearchStrategy[Any]] = {
        "zones": zones,
        "alarm_email": st.just("oncall@example.com"),
        "budget_usd": st.integers(1, 10000000),
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "account": st.text("0123456789", min_size=12, max_size=12),
        "egress": st.sampled_from(["nat", "nat-per-zone", "endpoints"]),
        "tags": _tags,
        "transition": _some(lock_origin=st.booleans()),
        "sizes": _some(**sizes),
    }
    if production:
        needed |= wanted | site
        needed["pins"] = st.fixed_dictionaries({"image": _pins["image"]}, optional=_without(_pins, "image"))
        optional["open_to"] = doors
    else:
        needed |= site if draw(st.booleans()) else {"open_to": doors}
        optional |= wanted | {"pins": _some(**_pins)}
    return draw(st.fixed_dictionaries(needed, optional=optional))


def _without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if set(key) <= set(_LETTERS + "_") else json.dumps(key, ensure_ascii=False)


def _lines(table: dict[str, Any], path: tuple[str, ...], draw: st.DrawFn) -> list[str]:
    """A table as text: plain values first, then each table inside it, inline or with a header of its own."""
    inside = {key: value for key, value in table.items() if isinstance(value, dict)}
    inline = {key for key in inside if draw(st.integers(0, 3)) == 0}
    rows = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in inside or key in inline]
    for key in inside:
        if key not in inline:
            here = (*path, key)
            rows += ["", "[" + ".".join(map(_key, here)) + "]", *_lines(inside[key], here, draw)]
    return rows


@st.composite
def valid_environments(draw: st.DrawFn) -> str:
    """The text of an environment file that `load` accepts."""
    settings = draw(_settings())
    assert set(settings) <= set(EnvironmentFile.model_fields)
    comment = draw(st.sampled_from(["", "  # [sizes]", "\t# stage = 1"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    rows = _lines(settings, (), draw)
    return end.join(row + comment if row else "" for row in rows) + end
