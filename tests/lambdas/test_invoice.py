"""Invoices: what is on the page, and that it is the same page whenever it is made again."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pypdfium2
import pytest

from jobs import invoice
from jobs.events import Refused, encode, happened
from tests.lambdas.world import Calls, World, world
from workbench.synth import ROOT

DOCUMENT: dict[str, Any] = {
    "order": {
        "id": "0b8f6f9e-7f0f-4c38-9a3e-6f0f4c389a3e",
        "placed_at": "2026-03-04T05:06:07.123+00:00",
        "total_cents": 125_068,
        "lines": [
            {"product_id": 7, "name": "Walnut desk lamp", "quantity": 1, "price_cents": 123_400},
            {"product_id": 9, "name": "Pencil", "quantity": 4, "price_cents": 417},
        ],
    },
    "customer": {"id": "5f6b8a52-0000-4000-8000-000000000000", "name": "Someone", "email": "someone@example.com"},
    "devices": [],
}


def with_lines(*names: str) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    lines = [
        {"product_id": number, "name": name, "quantity": 1, "price_cents": 100} for number, name in enumerate(names)
    ]
    document["order"] |= {"lines": lines, "total_cents": 100 * len(lines)}
    return document


def pages(pdf: bytes) -> list[str]:
    return [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(pdf)]


def test_number_day_customer_lines_and_total_can_be_read() -> None:
    [text] = pages(invoice.render(DOCUMENT))
    for expected in (
        "Number 0b8f6f9e-7f0f-4c38-9a3e-6f0f4c389a3e",
        "Date 4 March 2026",
        "Billed to Someone",
        "someone@example.com",
        "Walnut desk lamp 1 $1,234.00 $1,234.00",
        "Pencil 4 $4.17 $16.68",
        "Total $1,250.68",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Łukasz Żółć", "Łukasz Żółć"),
        ("Łukasz with a composed accent: e\u0301", "Łukasz with a composed accent: é"),
        ("Ωμέγα, Привет, Đặng", "Ωμέγα, Привет, Đặng"),
        ("日本語のノート", "日本語のノート"),
        ("한국어 공책", "한국어 공책"),
        ("简体中文 本子", "简体中文 本子"),
        ("日本語 mixed with Łódź", "日本語 mixed with Łódź"),
        ("a \U0001f389 and עברית", "a ? and ?????"),
        ("no\nlines, no \x00\u202econtrol\ud800", "nolines, no control"),
        ("%PDF (brackets) \\ <b>&amp;", "%PDF (brackets) \\ <b>&amp;"),
    ],
)
def test_a_name_keeps_its_letters_or_shows_that_one_is_missing(name: str, read: str) -> None:
    [text] = pages(invoice.render(with_lines(name)))
    assert f"{read} 1 $1.00 $1.00" in text


def test_a_name_without_room_is_cut_off_visibly_and_quickly() -> None:
    [text] = pages(invoice.render(with_lines("Wide " * 20_000)))
    assert "Wide… 1 $1.00" in text.replace("Wide …", "Wide…")


def test_a_long_order_goes_on_with_its_titles_on_the_next_page() -> None:
    read = pages(invoice.render(with_lines(*(f"Article number {number}" for number in range(100)))))
    assert len(read) == 4
    assert all("Quantity" in text and f"Page {number}" in text for number, text in enumerate(read, 1))
    assert [text.count("Total") for text in read] == [0, 0, 0, 1]
    assert sum(text.count("Article number ") for text in read) == 100


@pytest.mark.parametrize("lines", range(18, 30))
def test_the_total_is_never_lost_where_a_page_ends(lines: int) -> None:
    read = pages(invoice.render(with_lines(*["Thing"] * lines)))
    assert f"Total ${lines}.00" in read[-1]
    assert sum(text.count("Thing") for text in read) == lines


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"order": None}, "not the document of an order"),
        ({"customer": {"name": "Someone"}}, "not the document of an order: KeyError('email')"),
        ({"order": {**DOCUMENT["order"], "lines": [{"name": "Pencil"}]}}, "KeyError('quantity')"),
        ({"order": {**DOCUMENT["order"], "total_cents": "many"}}, "not the document of an order"),
        ({"order": {**DOCUMENT["order"], "placed_at": "some day"}}, "not the document of an order"),
        ({"order": {**DOCUMENT["order"], "total_cents": 125_067}}, "do not add up to 125067 cents"),
    ],
)
def test_what_makes_no_invoice_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refused) as refused:
        invoice.render({**DOCUMENT, **change})
    assert complaint in str(refused.value)


def test_another_process_at_another_time_makes_the_same_bytes() -> None:
    document = with_lines("Pencil", "Łukasz", "日本語", *map(str, range(50)))
    program = "import sys, json, time, hashlib; from jobs import invoice\n"
    program += "time.time = lambda: float(sys.argv[1]); time.localtime = time.gmtime\n"
    program += "print(hashlib.sha256(invoice.render(json.load(sys.stdin))).hexdigest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, clock],
            env={**os.environ, "PYTHONPATH": str(ROOT / "lambdas"), "PYTHONHASHSEED": seed, "TZ": zone},
            input=json.dumps(document),
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for clock, seed, zone in (("0", "1", "UTC"), ("2000000000", "2", "Asia/Tokyo"))
    }
    assert digests == {hashlib.sha256(invoice.render(document)).hexdigest()}


def test_threads_that_make_different_invoices_do_not_disturb_each_other() -> None:
    documents = [with_lines(*(f"{number} {letter} 日本語" for letter in "aąжλ")) for number in range(40)]
    alone = [invoice.render(document) for document in documents]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(invoice.render, documents)) == alone
    assert len(set(alone)) == len(alone)


ORDER_ID = DOCUMENT["order"]["id"]


def placed(job: World, document: dict[str, Any] | bytes = DOCUMENT, order_id: str = ORDER_ID) -> str:
    """An order in the queue, its document in the bucket; the body of the message."""
    event = happened("order.placed", order_id=order_id)
    job.put(event.document_key, document)
    job.send(event)
    return encode(event)


def stored(job: World, order_id: str = ORDER_ID) -> dict[str, Any]:
    found: dict[str, Any] = job.client("s3").get_object(Bucket=job.bucket, Key=f"invoices/{order_id}.pdf")
    return found


def test_each_order_in_the_queue_gets_its_invoice() -> None:
    with world("invoice") as job:
        orders = [f"00000000-0000-4000-8000-{number:012}" for number in range(12)]
        for order_id in orders:
            placed(job, {**DOCUMENT, "order": {**DOCUMENT["order"], "id": order_id}}, order_id)
        job.work()
        for order_id in orders:
            answer = stored(job, order_id)
            assert answer["ContentType"] == "application/pdf"
            assert f"Number {order_id}" in pages(answer["Body"].read())[0]
        assert job.dead_letters() == []


def test_an_order_that_is_delivered_twice_has_one_invoice_with_the_same_bytes() -> None:
    with world("invoice") as job:
        body = placed(job)
        job.work()
        first = stored(job)["Body"].read()
        job.send(body)
        job.work()
        assert stored(job)["Body"].read() == first


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"order": {}}, "not the document of an order"),
        (b"not json", "the document is not JSON"),
        ({**DOCUMENT, "order": {**DOCUMENT["order"], "id": ORDER_ID.replace("0", "1")}}, "about another order"),
    ],
)
def test_what_makes_no_invoice_is_set_aside_and_holds_nobody_up(
    document: dict[str, Any] | bytes, complaint: str
) -> None:
    with world("invoice") as job:
        body = placed(job, document)
        placed(job)
        job.work()
        [(kept, reason)] = job.dead_letters()
        assert (kept, complaint in str(reason)) == (body, True)
        assert pages(stored(job)["Body"].read())


def test_a_crash_at_any_moment_costs_only_time() -> None:
    with world("invoice") as job:
        placed(job)
        job.work(calls := Calls())
    assert "before s3.PutObject" in calls.points
    for moment in range(len(calls.points)):
        with world("invoice") as job:
            placed(job)
            job.work(Calls(kill=moment))
            assert stored(job)["Body"].read() == invoice.render(DOCUMENT)
            assert job.dead_letters() == []
