"""Cursors come back as they were given out, and nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.cursors import seal, unseal
from shop.problems import Problem

SECRET = b"s" * 32
CURSOR = seal(SECRET, "products:", 24)


@given(st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), max_size=4), st.text())
def test_a_position_comes_back_exactly(position: list[object], listing: str) -> None:
    cursor = seal(SECRET, listing, *position)
    assert unseal(SECRET, listing, cursor) == position
    assert cursor.isascii()
    assert "=" not in cursor


def test_times_and_ids_come_back_as_text_that_the_database_reads() -> None:
    at, order = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), UUID(int=7)
    assert unseal(SECRET, "orders", seal(SECRET, "orders", at, order)) == ["2026-01-02T03:04:05.678901Z", str(order)]


@pytest.mark.parametrize(
    ("secret", "listing", "cursor"),
    [
        (SECRET, "products:cups", CURSOR),
        (SECRET, "orders:", CURSOR),
        (b"t" * 32, "products:", CURSOR),
        (SECRET, "products:", CURSOR[:-4]),
        (SECRET, "products:", CURSOR + "AAAA"),
        (SECRET, "products:", ""),
        (SECRET, "products:", "A"),
        (SECRET, "products:", "A" * 22),
        (SECRET, "products:", "é"),
        (SECRET, "products:", "\x00"),
        # What a listing and a position together could also be read as.
        (SECRET, "products:\n[24]", seal(SECRET, "products:")),
    ],
)
def test_anything_else_is_refused(secret: bytes, listing: str, cursor: str) -> None:
    with pytest.raises(Problem) as refused:
        unseal(secret, listing, cursor)
    assert (refused.value.status, refused.value.code) == (400, "bad-cursor")


def test_no_changed_character_goes_unnoticed() -> None:
    for place, letter in enumerate(CURSOR[:-1]):  # of the last one, some bits mean nothing
        changed = CURSOR[:place] + ("B" if letter == "A" else "A") + CURSOR[place + 1 :]
        with pytest.raises(Problem):
            unseal(SECRET, "products:", changed)
