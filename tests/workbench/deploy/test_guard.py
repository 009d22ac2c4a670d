"""The account guard, at every way into a deployment."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from blueprint.environment import UNSET_ACCOUNT, Environment, load
from workbench.cli import main
from workbench.deploy import Refused
from workbench.deploy.guard import guard, is_local
from workbench.deploy.live import Aws
from workbench.synth import synth

MOTOS = "123456789012"
LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


def environment(account: str = MOTOS, profile: str = "sandbox") -> Environment:
    return replace(load("sandbox"), account=account, profile=profile)


def test_the_right_account_is_let_in(aws: Aws, tmp_path: Path) -> None:
    caller = guard(environment(), aws, variables={}, folder=tmp_path)
    assert caller.account == MOTOS
    assert caller.arn.startswith("arn:aws:sts::")


def test_another_account_is_refused_before_anything_else(aws: Aws, calls: list[str], tmp_path: Path) -> None:
    with pytest.raises(Refused, match="belongs to account 999999999999, and these credentials are for 123456789012"):
        guard(environment("999999999999"), aws, variables={}, folder=tmp_path)
    assert calls == ["GetCallerIdentity"]


def test_an_unset_account_is_refused_without_asking_anybody(aws: Aws, calls: list[str], tmp_path: Path) -> None:
    with pytest.raises(Refused, match="account is not set"):
        guard(environment(UNSET_ACCOUNT), aws, variables={}, folder=tmp_path)
    assert calls == []


def test_an_unset_account_is_that_of_a_local_aws(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOTO_ACCOUNT_ID", UNSET_ACCOUNT)
    assert guard(environment(UNSET_ACCOUNT), aws, variables=LOCAL, folder=tmp_path).account == UNSET_ACCOUNT


def test_a_real_account_behind_the_local_address_is_still_refused(aws: Aws, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="belongs to account 000000000000"):
        guard(environment(UNSET_ACCOUNT), aws, variables=LOCAL, folder=tmp_path)


@pytest.mark.parametrize(
    ("variables", "local"),
    [
        ({}, False),
        ({"AWS_ENDPOINT_URL": ""}, False),
        (LOCAL, True),
        ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, True),
        ({"AWS_ENDPOINT_URL": "http://[::1]:4566"}, True),
        ({"AWS_ENDPOINT_URL": "https://cloudformation.us-east-1.amazonaws.com"}, False),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1.example.com"}, False),
        ({"AWS_ENDPOINT_URL": "http://localhost@example.com"}, False),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:4566"}, False),
        ({"AWS_ENDPOINT_URL": "http://[::1"}, False),
        (LOCAL | {"AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com"}, False),
        (LOCAL | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}, True),
        (LOCAL | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, False),
    ],
)
def test_only_an_address_on_this_machine_for_every_service_is_local(variables: Mapping[str, str], local: bool) -> None:
    assert is_local(variables) is local


@pytest.mark.parametrize(
    ("other", "refused"),
    [
        ('name = "shop-prod"\nprofile = "production"\naccount = "123456789012"', "keeps data"),
        ('name = "shop-prod"\nprofile = "no such"\naccount = "123456789012"', "keeps data"),
        ('name = "shop-prod"\nprofile = "production"\naccount = "999999999999"', ""),
        ('name = "other"\nprofile = "sandbox"\naccount = "123456789012"', ""),
        ("this is not TOML", "cannot be read"),
    ],
)
def test_a_sandbox_stays_out_of_an_account_that_keeps_data(aws: Aws, tmp_path: Path, other: str, refused: str) -> None:
    (tmp_path / "other.toml").write_text(other, encoding="utf-8")
    if refused:
        with pytest.raises(Refused, match=refused):
            guard(environment(), aws, variables={}, folder=tmp_path)
    else:
        guard(environment(), aws, variables={}, folder=tmp_path)


def test_production_may_be_in_its_own_account(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('profile = "production"\naccount = "123456789012"', encoding="utf-8")
    assert guard(environment(profile="production"), aws, variables={}, folder=tmp_path).account == MOTOS


@pytest.mark.parametrize("command", ["deploy", "destroy", "pin"])
@pytest.mark.parametrize(
    ("more", "said", "asked"),
    [
        ("", "account is not set", []),
        ('account = "999999999999"', "these credentials are for 123456789012", ["GetCallerIdentity"]),
    ],
    ids=["unset", "wrong"],
)
def test_every_command_stops_at_the_guard(
    calls: list[str],
    environment_file: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    command: str,
    more: str,
    said: str,
    asked: list[str],
) -> None:
    file = environment_file(more)
    before = file.read_text(encoding="utf-8")
    status = main([command, str(file)])
    if command == "pin" and not more:
        # Pins are the same in every account, and nothing is changed in one.
        assert status == 0
        assert set(calls) <= {"GetParameter", "DescribeManagedPrefixLists"}
        return
    assert status == 1
    assert said in capsys.readouterr().err
    assert calls == asked
    assert file.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("account", [UNSET_ACCOUNT, "210987654321"])
def test_plain_cdk_deploy_can_only_take_roles_of_the_environments_account(
    account: str, environment_file: Callable[..., Path], tmp_path: Path
) -> None:
    more = "" if account == UNSET_ACCOUNT else f'account = "{account}"'
    folder = synth(load(str(environment_file(more))), tmp_path / "assembly", bundle=False)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    stacks = [one for one in manifest["artifacts"].values() if one["type"] == "aws:cloudformation:stack"]
    assert len(stacks) == 6
    for stack in stacks:
        assert stack["environment"] == f"aws://{account}/us-east-1"
        for role in ("assumeRoleArn", "cloudFormationExecutionRoleArn"):
            assert f":iam::{account}:role/" in stack["properties"][role]
            assert stack["properties"][role].count(account) == 2
    for manifest_of_assets in folder.glob("*.assets.json"):
        files = json.loads(manifest_of_assets.read_text(encoding="utf-8"))["files"]
        for destination in (one for file in files.values() for one in file["destinations"].values()):
            assert account in destination["assumeRoleArn"]
