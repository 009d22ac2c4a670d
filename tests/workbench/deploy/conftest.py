"""Credentials that open nothing, so that no test can reach an account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from workbench.deploy.live import Aws

SANDBOX = """\
name = "try"
stage = 1
profile = "sandbox"
region = "us-east-1"
open_to = ["203.0.113.10/32"]
{more}
"""


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    settings = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    # Images take moto a second to read; who asks about one turns this back on.
    for name, value in {**settings, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws() -> Iterator[Aws]:
    """An account of moto's, empty."""
    with mock_aws():
        yield Aws("us-east-1")


@pytest.fixture
def calls(aws: Aws) -> Iterator[list[str]]:
    """The operations that are called from here on."""
    assert aws
    boto3.setup_default_session()
    called: list[str] = []
    session = boto3.DEFAULT_SESSION
    assert session is not None
    session.events.register("before-call.*", lambda model, **_: called.append(model.name))
    yield called
    boto3.DEFAULT_SESSION = None


@pytest.fixture
def environment_file(tmp_path: Path) -> Callable[..., Path]:
    """A sandbox environment of a test's own, with more lines if wanted."""

    def write(more: str = "") -> Path:
        file = tmp_path / "try.toml"
        file.write_text(SANDBOX.format(more=more), encoding="utf-8")
        return file

    return write
