"""The jobs of a request, done at once or left to others; what is committed never depends on them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import boto3
import psycopg
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends
from moto.sns.models import sns_backends
from PIL import Image
from psycopg.rows import dict_row

from jobs.events import Event, decode, happened
from shop import aws, mailer, work
from shop.database import Database
from shop.files import Folder
from shop.settings import load
from shop.work import Inline, Queued, choose

pytestmark = pytest.mark.slow

Rows = list[dict[str, Any]]
Step = Callable[[Inline], Awaitable[Any]]


@pytest.fixture
def customer(database_url: str) -> UUID:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "insert into users (email, name, password_hash) values ('ada@example.com', 'Ada', 'x') returning id"
        ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in this process, where mail goes out only from a known sender."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for cached in (aws.client, mailer._provider):
        cached.cache_clear()
    with mock_aws():
        boto3.client("ses").verify_email_identity(EmailAddress="shop@example.com")
        yield
    for cached in (aws.client, mailer._provider):
        cached.cache_clear()


def order(customer: UUID, *devices: str) -> tuple[Event, dict[str, Any]]:
    event = happened("order.placed", order_id=uuid4(), trace="Root=1-abc")
    line = {"product_id": 7, "name": "Oak Mug", "quantity": 2, "price_cents": 995}
    placed = {"id": event.ids["order_id"], "placed_at": "2026-01-01T12:00:00+00:00", "total_cents": 1990}
    person = {"id": str(customer), "name": "Ada", "email": "ada@example.com"}
    return event, {"order": {**placed, "lines": [line]}, "customer": person, "devices": list(devices)}


def inline(database_url: str, folder: Path, *steps: Step, **variables: str) -> None:
    """Run some steps with the jobs of a shop that does them at once."""

    async def story() -> None:
        settings = load({"DATABASE_URL": database_url, **variables})
        database = await Database.connect(settings)
        try:
            for step in steps:
                await step(Inline(settings, database, Folder(folder)))
        finally:
            await database.close()

    asyncio.run(story())


def rows(database_url: str, query: str) -> Rows:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("variables", "kind"),
    [({}, Inline), ({"EVENTS_TOPIC": "arn:aws:sns:us-east-1:1:t", "FILES_BUCKET": "b"}, Queued)],
)
def test_one_variable_chooses(variables: dict[str, str], kind: type[object], tmp_path: Path) -> None:
    settings = load({"DATABASE_URL": "postgresql://a@localhost/shop", **variables})
    assert isinstance(choose(settings, Database(settings), Folder(tmp_path)), kind)


# --- At once ---


def test_an_order_leaves_a_mail_a_notification_an_invoice_and_a_record(
    database_url: str, customer: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event, document = order(customer)
    inline(database_url, tmp_path, lambda jobs: jobs.do(event, document))
    kept = rows(database_url, "select * from mails order by kind")
    assert [(mail["kind"], mail["recipient"], mail["user_id"]) for mail in kept] == [
        ("mail", "ada@example.com", customer),
        ("notification", "ada@example.com", customer),
    ]
    assert "Oak Mug" in kept[0]["body"]
    assert (tmp_path / f"invoices/{event.ids['order_id']}.pdf").read_bytes().startswith(b"%PDF")
    (record,) = [line["record"] for line in lines(capsys) if line["message"] == "event"]
    assert json.loads(record)["order_id"] == event.ids["order_id"]


def test_the_same_event_again_changes_nothing(database_url: str, customer: UUID, tmp_path: Path) -> None:
    event, document = order(customer)
    invoice = tmp_path / f"invoices/{event.ids['order_id']}.pdf"
    inline(database_url, tmp_path, lambda jobs: jobs.do(event, document))
    before = invoice.read_bytes()
    inline(database_url, tmp_path, lambda jobs: jobs.do(event, document))
    assert invoice.read_bytes() == before
    assert len(rows(database_url, "select * from mails")) == 2


@pytest.mark.usefixtures("cloud")
def test_with_a_sender_mail_goes_out_and_none_is_kept(database_url: str, customer: UUID, tmp_path: Path) -> None:
    event, document = order(customer)
    inline(database_url, tmp_path, lambda jobs: jobs.do(event, document), MAIL_FROM="shop@example.com")
    (sent,) = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages
    assert sent.source == "shop@example.com"
    assert sent.destinations["ToAddresses"] == ["Ada <ada@example.com>"], "as the worker addresses it"
    assert "Oak Mug" in sent.body
    assert rows(database_url, "select * from mails") == []


@pytest.mark.usefixtures("cloud")
def test_a_refused_mail_is_counted_and_everything_else_is_done(
    database_url: str, customer: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event, document = order(customer)
    inline(database_url, tmp_path, lambda jobs: jobs.do(event, document), MAIL_FROM="stranger@example.com")
    failed = [line for line in lines(capsys) if "JobFailures" in line]
    assert [(line["job"], line["JobFailures"], line["event"]) for line in failed] == [("confirmation", 1, event.id)]
    assert list((tmp_path / "invoices").iterdir())


def test_mail_is_handed_over_once_however_long_the_answer_takes() -> None:
    assert mailer._provider("us-east-1").meta.config.retries["total_max_attempts"] == 1


def test_a_job_that_takes_too_long_is_given_up(
    database_url: str,
    customer: UUID,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def for_ever(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(work, "JOB_SECONDS", 0.2)
    monkeypatch.setattr(mailer, "send", for_ever)
    event, document = order(customer)
    inline(database_url, tmp_path, lambda jobs: jobs.do(event, document), MAIL_FROM="shop@example.com")
    assert [line["job"] for line in lines(capsys) if "JobFailures" in line] == ["confirmation"]


def test_all_jobs_together_have_what_is_left_of_the_request(
    database_url: str, customer: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that cannot be done in time is counted as failed, and the visitor does not wait for it."""
    event, document = order(customer)

    async def late(jobs: Inline) -> None:
        now = asyncio.get_running_loop().time()
        work.deadline.set(now)
        await jobs.do(event, document)
        assert asyncio.get_running_loop().time() - now < 1

    inline(database_url, tmp_path, late)
    failed = [line["job"] for line in lines(capsys) if "JobFailures" in line]
    assert failed == ["confirmation", "invoice", "notification"]


@pytest.mark.usefixtures("cloud")
def test_each_device_is_told_even_if_one_is_gone(database_url: str, customer: UUID, tmp_path: Path) -> None:
    sns = boto3.client("sns")
    application = sns.create_platform_application(Name="shop", Platform="GCM", Attributes={})["PlatformApplicationArn"]
    devices = [
        sns.create_platform_endpoint(PlatformApplicationArn=application, Token=token)["EndpointArn"] for token in "ab"
    ]
    _, document = order(customer, devices[0].replace("endpoint/", "endpoint/gone-"), *devices)
    shipped = happened("order.shipped", order_id=document["order"]["id"])
    inline(database_url, tmp_path, lambda jobs: jobs.do(shipped, document), MAIL_FROM="shop@example.com")
    known = sns_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].platform_endpoints
    assert [len(known[device].messages) for device in devices] == [1, 1]


def test_a_picture_gets_thumbnails(database_url: str, tmp_path: Path) -> None:
    buffer, image = io.BytesIO(), str(uuid4())
    Image.new("RGB", (900, 600), "teal").save(buffer, "PNG")
    uploaded = happened("image.uploaded", product_id=7, image_id=image)

    async def upload(jobs: Inline) -> None:
        await Folder(tmp_path).put(f"images/{image}", buffer.getvalue(), "image/png")
        await jobs.do(uploaded, None)

    inline(database_url, tmp_path, upload)
    made = {path.name: path.read_bytes()[8:12] for path in (tmp_path / "thumbnails" / image).iterdir()}
    assert made == {"small.webp": b"WEBP", "medium.webp": b"WEBP"}


@pytest.mark.parametrize("data", [None, b"no picture"])
def test_a_picture_that_is_none_is_a_failed_job(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None
) -> None:
    image = str(uuid4())

    async def upload(jobs: Inline) -> None:
        if data is not None:
            await Folder(tmp_path).put(f"images/{image}", data, "image/png")
        await jobs.do(happened("image.uploaded", product_id=7, image_id=image), None)

    inline(database_url, tmp_path, upload)
    assert [line["job"] for line in lines(capsys) if "JobFailures" in line] == ["thumbnails"]


def test_a_changed_product_can_be_found(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "insert into products (name, description, category, price_cents, stock)"
            " values ('Walnut Kettle', '', 'Kitchen', 100, 1) returning id"
        ).fetchone()
    assert row is not None
    changed = happened("product.changed", product_id=row[0])
    inline(database_url, tmp_path, lambda jobs: jobs.do(changed, None))
    found = rows(database_url, "select product_id from product_search where document @@ 'walnut'::tsquery")
    assert found == [{"product_id": row[0]}]


# --- Left to others ---


def queue(database_url: str, *, fail: bool) -> Event:
    event = happened("order.placed", order_id=uuid4(), trace="Root=1-abc")

    async def story() -> None:
        database = await Database.connect(load({"DATABASE_URL": database_url}))
        try:
            async with database.write() as connection:
                await Queued().record(connection, event, {"order": {"id": event.ids["order_id"]}})
                if fail:
                    raise OverflowError
            await Queued().do(event, {})
        finally:
            await database.close()

    asyncio.run(story())
    return event


def test_an_event_waits_in_the_outbox_with_its_facts(database_url: str) -> None:
    event = queue(database_url, fail=False)
    (row,) = rows(database_url, "select event, document, sent_at from outbox")
    assert decode(json.dumps(row["event"])) == event
    assert (row["document"], row["sent_at"]) == ({"order": {"id": event.ids["order_id"]}}, None)


def test_what_did_not_happen_is_not_told(database_url: str) -> None:
    with pytest.raises(OverflowError):
        queue(database_url, fail=True)
    assert rows(database_url, "select * from outbox") == []
