"""Where pictures and documents lie: in a folder of the only host, or in the bucket that all hosts share."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from shop import aws, observe
from shop.problems import Problem
from shop.settings import Settings

KEY = re.compile(r"(images|thumbnails|invoices|events)(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){1,2}")


class Files(Protocol):
    """Bytes by key. What is written under a key is there for whoever reads after that, on every host."""

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...

    async def get(self, key: str) -> bytes | None: ...


def choose(settings: Settings) -> Files:
    if settings.files_bucket is not None:
        return Bucket(settings.files_bucket)
    return Folder(settings.files_folder)


def checked(key: str) -> str:
    """Keys are made of ids only; anything else is a mistake of ours, and must never leave the folder."""
    if not KEY.fullmatch(key):
        raise ValueError(f"not a key: {key!r}")
    return key


class Folder:
    """A file appears under its name all at once, and is still there after the host lost power."""

    def __init__(self, top: Path) -> None:
        self.top = top

    async def put(self, key: str, data: bytes, content_type: str) -> None:  # noqa: ARG002
        await asyncio.to_thread(self._put, self.top / checked(key), data)

    async def get(self, key: str) -> bytes | None:
        try:
            return await asyncio.to_thread((self.top / checked(key)).read_bytes)
        except FileNotFoundError:
            return None

    def __iter__(self) -> Iterator[str]:
        for path in sorted(self.top.rglob("*")):
            if path.is_file() and KEY.fullmatch(key := path.relative_to(self.top).as_posix()):
                yield key

    def _put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            finally:
                Path(file.name).unlink(missing_ok=True)  # it is there only if something went wrong
        for folder in path.parents[: len(path.relative_to(self.top).parts)]:  # a name is kept by the folder around it
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


class Bucket:
    """Objects of one bucket; trouble with it is a Problem, so that a visitor may try again."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        await asyncio.to_thread(self._put, checked(key), data, content_type)

    async def get(self, key: str) -> bytes | None:
        return await asyncio.to_thread(self._get, checked(key))

    def _get(self, key: str) -> bytes | None:
        try:
            return bytes(self._call("get_object", key)["Body"].read())
        except KeyError:
            return None

    def copy(self, folder: Folder) -> tuple[int, int]:
        """Put every file of a folder here that is not here yet; how many were copied, how many were here before."""
        copied = present = 0
        for key in folder:
            data = (folder.top / key).read_bytes()
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            if self._has(key, digest):
                present += 1
                continue
            self._put(key, data, content_type(key, data))
            if not self._has(key, digest):
                raise Problem(502, "copy-differs", f"{key} arrived in the bucket with other bytes")
            copied += 1
        return copied, present

    def _put(self, key: str, data: bytes, content_type: str) -> None:
        self._call("put_object", key, Body=data, ContentType=content_type, ChecksumAlgorithm="SHA256")

    def _has(self, key: str, digest: str) -> bool:
        try:
            return bool(self._call("head_object", key, ChecksumMode="ENABLED").get("ChecksumSHA256") == digest)
        except KeyError:
            return False

    def _call(self, operation: str, key: str, **more: Any) -> Any:
        """Raises KeyError where there is no such object."""
        try:
            return getattr(aws.client("s3"), operation)(Bucket=self.name, Key=key, **more)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise KeyError(key) from None
            raise unavailable(error) from error
        except BotoCoreError as error:
            raise unavailable(error) from error


def unavailable(error: Exception) -> Problem:
    """What AWS says of itself is for us, not for visitors."""
    observe.log("files cannot be reached", level="error", **observe.reason(error))
    return Problem(503, "files-unavailable", "Files cannot be reached. Please try again.", headers={"Retry-After": "5"})


def content_type(key: str, data: bytes) -> str:
    from jobs import thumbnails

    fixed = {".pdf": "application/pdf", ".webp": "image/webp", ".json": "application/json"}
    return fixed.get(Path(key).suffix) or thumbnails.kind(data)
