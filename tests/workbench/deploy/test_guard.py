"""The account guard, at every way into a deployment."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import pytest
from botocore.exceptions import EndpointConnectionError

from blueprint.environment import UNSET_ACCOUNT, Environment, load
from workbench.cli import main
from workbench.deploy import Refused
from workbench.deploy.guard import guard, is_local
from workbench.deploy.live import Aws
from workbench.lab.servers import free_port
from workbench.synth import ROOT, synth

MOTOS = "123456789012"
LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "PATH": "/usr/bin"}


def environment(account: str = MOTOS, profile: str = "sandbox") -> Environment:
    return replace(load("sandbox"), account=account, profile=profile)


def test_the_right_account_is_let_in(aws: Aws) -> None:
    caller = guard(environment(), aws, variables={})
    assert caller.account == MOTOS
    assert caller.arn.startswith("arn:aws:sts::")


def test_another_account_is_refused_before_anything_else(aws: Aws, calls: list[str]) -> None:
    with pytest.raises(Refused, match="belongs to account 999999999999, and these credentials are for 123456789012"):
        guard(environment("999999999999"), aws, variables={})
    assert calls == ["GetCallerIdentity"]


def test_an_unset_account_is_refused_without_asking_anybody(aws: Aws, calls: list[str]) -> None:
    with pytest.raises(Refused, match="account is not set"):
        guard(environment(UNSET_ACCOUNT), aws, variables={})
    assert calls == []


@pytest.mark.parametrize("runs", [True, False])
def test_an_unset_account_is_shown_the_way_to_a_local_aws(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: bool
) -> None:
    monkeypatch.setattr("workbench.deploy.guard.SANDBOX", tmp_path)
    monkeypatch.setattr("workbench.sandbox.local.Local.status", lambda _: runs or None)
    with pytest.raises(Refused, match=r'eval "\$\(blueprint sandbox env\)"') as refused:
        guard(environment(UNSET_ACCOUNT), aws, variables={})
    assert ("Start one: blueprint sandbox up" in str(refused.value)) is not runs


def test_a_local_aws_that_does_not_answer_is_told_with_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(Refused, match=f"No local AWS answers at {url}.*or unset the variables"):
        guard(environment(), Aws("us-east-1"), variables={"AWS_ENDPOINT_URL": url})


def test_aws_that_cannot_be_reached_is_not_taken_for_a_local_one(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> None:
        raise EndpointConnectionError(endpoint_url=sts.meta.endpoint_url)

    sts = aws.client("sts")
    monkeypatch.setattr(sts, "get_caller_identity", unreachable)
    with pytest.raises(EndpointConnectionError, match=r"amazonaws\.com"):
        guard(environment(), aws, variables={})


def test_an_unset_account_is_that_of_a_local_aws(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_ACCOUNT_ID", UNSET_ACCOUNT)
    assert guard(environment(UNSET_ACCOUNT), aws, variables=LOCAL).account == UNSET_ACCOUNT


def test_a_real_account_behind_the_local_address_is_still_refused(aws: Aws) -> None:
    with pytest.raises(Refused, match="belongs to account 000000000000"):
        guard(environment(UNSET_ACCOUNT), aws, variables=LOCAL)


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
    "variables",
    [
        {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:4566"},
        LOCAL | {"AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com"},
        LOCAL | {"AWS_ENDPOINT_URL_CLOUDFORMATION": "https://cloudformation.us-east-1.amazonaws.com"},
    ],
)
@pytest.mark.parametrize("account", [MOTOS, UNSET_ACCOUNT])
def test_who_says_whose_account_it_is_must_be_where_all_the_others_are(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], account: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match=r"other services are not on this machine|account is not set"):
        guard(environment(account), Aws("us-east-1"), variables=variables)
    assert calls == []


KEEPS = 'name = "shop-prod"\nprofile = "production"\naccount = "123456789012"'
WAYS = ("deploy", "destroy", "pin", "smoke", "synth", "check", "cdk")


def enter(way: str, environment: str) -> int:
    """The exit code of a command, or of the app as `cdk deploy` runs it, which takes "sandbox" by itself."""
    if way != "cdk":
        return main([way, environment])
    with pytest.raises(SystemExit) as ended:
        run_path(str(ROOT / "app.py"))
    return int(str(ended.value.code))


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_a_sandbox_into_an_account_that_keeps_data(
    way: str,
    calls: list[str],
    environment_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment_file('account = "123456789012"').rename(tmp_path / "sandbox.toml")
    (tmp_path / "live.toml").write_text(KEEPS, encoding="utf-8")
    monkeypatch.setattr(load, "__kwdefaults__", {**(load.__kwdefaults__ or {}), "folder": tmp_path})
    assert enter(way, "sandbox") == 2
    said = capsys.readouterr().err
    assert "sandbox.toml:6: account: is that of live.toml, whose data is kept" in said
    assert said.rstrip().endswith("use another account")
    assert calls == []


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
