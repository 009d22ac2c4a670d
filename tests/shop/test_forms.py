"""Forms whose text is none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.shop.running import running

FIELDS = {"name": "\\ud800 +2AA-", "email": "somebody@example.com", "password": "correct horse", "key": "key"}
PARTS = "".join(
    f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in FIELDS.items()
)


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "punycode", "undefined"])
def test_a_form_in_an_encoding_that_makes_no_text_of_it_is_refused(
    database_url: str, tmp_path: Path, charset: str
) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            transport = shop.client._transport
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as browser:
                kind = f"multipart/form-data; boundary=X; charset={charset}"
                headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": kind}
                answer = await browser.post("/sign-up", content=f"{PARTS}--X--\r\n", headers=headers)
                assert answer.status_code == 400
                assert await shop.sql("select from users") == []

    asyncio.run(test())
