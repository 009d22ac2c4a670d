"""Where a list goes on, as a text that clients can carry but not make up."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from shop.problems import Problem

MAC_BYTES = 16


def seal(secret: bytes, listing: str, *position: object) -> str:
    """A cursor that is good for this listing only."""
    payload = msgspec.json.encode(position)
    return urlsafe_b64encode(_mac(secret, listing, payload) + payload).decode().rstrip("=")


def unseal(secret: bytes, listing: str, cursor: str) -> list[Any]:
    """The position that was sealed; anything else was not given out by us, or for another list."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    mac, payload = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, listing, payload)):
        raise Problem(400, "bad-cursor", "This cursor does not belong to this list. Start again without one.")
    position: list[Any] = msgspec.json.decode(payload)
    return position


def _mac(secret: bytes, listing: str, payload: bytes) -> bytes:
    # JSON holds no line break, so the last one always stands between the two.
    return hmac.digest(secret, listing.encode() + b"\n" + payload, "sha256")[:MAC_BYTES]
