"""Events as text: every one comes back as it was, and anything else is refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.events import TYPES, Event, Refused, decode, encode, happened

IDS = st.one_of(st.uuids().map(str), st.integers(0, 2**63 - 1).map(str))
TIMES = st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat(timespec="milliseconds"))
EVENTS = st.sampled_from(sorted(TYPES)).flatmap(
    lambda kind: st.builds(
        Event,
        id=st.uuids().map(str),
        type=st.just(kind),
        ids=st.fixed_dictionaries(dict.fromkeys(TYPES[kind], IDS)),
        at=TIMES,
        trace=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=256),
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
GOOD = json.loads(encode(happened("image.uploaded", product_id=7, image_id="0b8f6f9e-7f0f-4c38-9a3e-6f0f4c389a3e")))


def understood(text: str) -> Event | None:
    """The event, or None if it is refused with a reason; whatever else is raised fails the test."""
    try:
        return decode(text)
    except Refused as refused:
        reason = str(refused)
    assert reason
    return None


@given(EVENTS)
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    assert decode(encode(event)) == event


@given(EVENTS)
def test_the_same_event_is_the_same_line_and_plain_ascii(event: Event) -> None:
    line = encode(event)
    assert line == encode(replace(event, ids=dict(reversed(event.ids.items()))))
    assert line.isascii()
    assert line.isprintable()


@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_understood_or_refused(text: str) -> None:
    understood(text)


@given(EVENTS, st.sampled_from(["id", "type", "version", "at", "trace", "order_id", "product_id", "image_id"]), JSON)
def test_a_field_of_any_content_is_understood_or_refused(event: Event, field: str, content: Any) -> None:
    found = understood(json.dumps({**json.loads(encode(event)), field: content}))
    assert found is None or understood(encode(found)) == found


@given(EVENTS, st.data())
def test_a_line_that_was_cut_off_is_refused(event: Event, data: st.DataObject) -> None:
    line = encode(event)
    assert understood(line[: data.draw(st.integers(0, len(line) - 1))]) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "version 2; this code understands 1 only"),
        ({"version": "1"}, "version is not a whole number"),
        ({"version": True}, "version is not a whole number"),
        ({"version": 1.0}, "version is not a whole number"),
        ({"version": [[]]}, "version is not a whole number"),
        ({"id": None}, "id is not a text"),
        ({"id": "0192-a"}, "id is not a UUID"),
        ({"id": GOOD["id"].upper()}, "id is not a UUID"),
        ({"id": GOOD["id"] + "\n"}, "id is not a UUID"),
        ({"type": "order.eaten"}, "unknown type 'order.eaten'"),
        ({"type": ["order.placed"]}, "type is not a text"),
        ({"at": 1_800_000_000}, "at is not a text"),
        ({"at": "yesterday"}, "at is not a time"),
        ({"image_id": "../../secrets"}, "image_id is not an id"),
        ({"image_id": ""}, "image_id is not an id"),
        ({"product_id": 7}, "product_id is not an id"),
        ({"product_id": "-7"}, "product_id is not an id"),
        ({"product_id": "\u0667"}, "product_id is not an id"),
        ({"product_id": "7" * 20}, "product_id is not an id"),
    ],
)
def test_the_reason_says_what_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(json.dumps({**GOOD, **change}))
    assert str(refused.value) == reason


@pytest.mark.parametrize("field", ["id", "type", "version", "at", "product_id", "image_id"])
def test_no_field_can_be_missing(field: str) -> None:
    with pytest.raises(Refused):
        decode(json.dumps({name: value for name, value in GOOD.items() if name != field}))


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "[]", "null", "7", "9" * 10_000, "NaN", '"text"', "\x00", "\ud800"]
)
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="not"):
        decode(text)


@pytest.mark.parametrize("trace", [None, 7, "a\nb", "\ud800", "x" * 257])
def test_a_trace_that_would_spoil_the_log_is_left_out(trace: object) -> None:
    assert decode(json.dumps({**GOOD, "trace": trace})).trace == ""


def test_what_is_not_known_is_ignored() -> None:
    event = decode(json.dumps({**GOOD, "email": "someone@example.com"}))
    assert "example.com" not in encode(event)


@pytest.mark.parametrize("ids", [{}, {"product_id": 1}, {"order_id": 1, "product_id": 1}])
def test_an_event_is_not_made_with_other_ids_than_its_type_has(ids: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="order_id"):
        happened("order.placed", **ids)


def test_the_document_lies_under_the_event() -> None:
    event = happened("order.placed", order_id=7)
    assert event.document_key == f"events/{event.id}.json"
