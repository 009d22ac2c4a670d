"""Files in a real folder, and in a bucket of the local AWS."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from shop import aws
from shop.files import Bucket, Files, Folder, choose
from shop.problems import Problem
from shop.settings import load
from workbench.lab.servers import LocalAws

pytestmark = pytest.mark.slow

KEY = "images/6c0bd9f6-6a0e-4b42-9d4e-5f4f1f6f0a11"


@pytest.fixture
def bucket(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in local_aws.variables.items():
        monkeypatch.setenv(name, value)
    aws.client.cache_clear()
    name = f"files-{uuid4()}"
    boto3.client("s3").create_bucket(Bucket=name)
    yield name
    aws.client.cache_clear()


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    if request.param == "folder":
        return Folder(tmp_path / "files")
    return Bucket(request.getfixturevalue("bucket"))


def test_what_is_put_is_there_and_the_last_one_stays(files: Files) -> None:
    async def story() -> list[bytes | None]:
        seen = [await files.get(KEY)]
        for data in (b"first", b"", b"\x00\xff" * 100_000):
            await files.put(KEY, data, "image/png")
            seen.append(await files.get(KEY))
        return seen

    assert asyncio.run(story()) == [None, b"first", b"", b"\x00\xff" * 100_000]


@pytest.mark.parametrize(
    "key",
    [
        "images/../../etc/passwd",
        "/etc/passwd",
        "images/",
        "images/.hidden",
        "other/1",
        "images/a\n",
        "images/a/b/c",
        "",
    ],
)
def test_a_key_that_is_not_made_of_ids_is_refused(files: Files, key: str) -> None:
    for attempt in (files.get(key), files.put(key, b"", "image/png")):
        with pytest.raises(ValueError, match="not a key"):
            asyncio.run(attempt)


def test_nobody_ever_reads_half_a_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    bodies = [bytes([number]) * 300_000 for number in range(20)]

    async def story() -> set[bytes | None]:
        await folder.put(KEY, bodies[0], "image/png")
        writes = [folder.put(KEY, body, "image/png") for body in bodies]
        reads = [folder.get(KEY) for _ in range(100)]
        results = await asyncio.gather(*writes, *reads)
        return set(results[len(writes) :])

    assert asyncio.run(story()) <= set(bodies)
    assert len(list(tmp_path.rglob("*"))) == 2, "the folder and one file, and nothing left over"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        asyncio.run(Folder(tmp_path).put(KEY, b"x", "image/png"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_is_safe_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without power, a file is lost unless all folders on the way to it are on the disk too."""
    synced: list[str] = []
    really = os.fsync

    def fsync(number: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{number}"))
        really(number)

    monkeypatch.setattr(os, "fsync", fsync)
    asyncio.run(Folder(tmp_path).put("thumbnails/1/small.webp", b"x", "image/webp"))
    assert synced[0].startswith(f"{tmp_path}/thumbnails/1/.")
    assert synced[1:] == [f"{tmp_path}/thumbnails/1", f"{tmp_path}/thumbnails", str(tmp_path)]


def test_a_file_in_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    asyncio.run(Folder(tmp_path).put(KEY, b"x", "image/png"))
    assert stat.S_IMODE(os.stat(tmp_path / KEY).st_mode) == 0o600


def test_an_object_says_what_it_is(bucket: str) -> None:
    asyncio.run(Bucket(bucket).put(KEY, b"x", "image/webp"))
    assert boto3.client("s3").head_object(Bucket=bucket, Key=KEY)["ContentType"] == "image/webp"


def test_a_bucket_out_of_reach_is_a_problem_that_says_when_to_come_again_and_not_why(
    bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boto3.client("s3").delete_bucket(Bucket=bucket)
    with pytest.raises(Problem) as problem:
        asyncio.run(Bucket(bucket).put(KEY, b"x", "image/png"))
    assert (problem.value.status, problem.value.code) == (503, "files-unavailable")
    assert problem.value.headers["Retry-After"] == "5"
    assert problem.value.detail == "Files cannot be reached. Please try again."
    assert "NoSuchBucket" in capsys.readouterr().out, "the log says why"


@pytest.mark.parametrize(("variables", "kind"), [({}, Folder), ({"FILES_BUCKET": "some-bucket"}, Bucket)])
def test_one_variable_chooses(variables: dict[str, str], kind: type[Any]) -> None:
    assert isinstance(choose(load({"DATABASE_URL": "postgresql://a@localhost/shop", **variables})), kind)


def test_a_folder_is_copied_once_and_every_byte_is_compared(bucket: str, tmp_path: Path) -> None:
    folder, target = Folder(tmp_path), Bucket(bucket)
    wanted = {
        "invoices/7d9d1a86-0000-4000-8000-000000000001.pdf": b"%PDF-1.7 invoice",
        "thumbnails/7d9d1a86-0000-4000-8000-000000000002/small.webp": b"RIFF....WEBP",
        "images/7d9d1a86-0000-4000-8000-000000000003": b"\x89PNG\r\n\x1a\n picture",
    }
    for key, data in wanted.items():
        asyncio.run(folder.put(key, data, "whatever"))
    (tmp_path / "images" / ".unfinished").write_bytes(b"no key")
    assert target.copy(folder) == (3, 0)
    assert target.copy(folder) == (0, 3)
    asyncio.run(target.put("invoices/7d9d1a86-0000-4000-8000-000000000001.pdf", b"%PDF-1.7 damaged", "application/pdf"))
    assert target.copy(folder) == (1, 2), "what differs is copied again"
    assert {key: asyncio.run(target.get(key)) for key in wanted} == wanted
    types = [boto3.client("s3").head_object(Bucket=bucket, Key=key)["ContentType"] for key in wanted]
    assert types == ["application/pdf", "image/webp", "image/png"]


def test_a_copy_that_arrives_with_other_bytes_stops_everything(bucket: str, tmp_path: Path) -> None:
    class Damaging(Bucket):
        def _put(self, key: str, data: bytes, content_type: str) -> None:
            super()._put(key, data + b"damaged", content_type)

    asyncio.run(Folder(tmp_path).put(KEY, b"\x89PNG\r\n\x1a\n", "image/png"))
    with pytest.raises(Problem, match="other bytes"):
        Damaging(bucket).copy(Folder(tmp_path))
