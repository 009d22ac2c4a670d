"""The local AWS on its port: whom it answers, and where it sends what it is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.route53.models import HostedZoneIdentifier
from werkzeug.serving import make_server

from tests.workbench.sandbox.pretend import REGION, template
from workbench.lab.servers import LOOPBACK
from workbench.sandbox.local import Running
from workbench.sandbox.server import Application, QuietHandler, make_zone_ids_as_in_aws
from workbench.sandbox.stacks import Stacks

BODY = json.dumps(template(Topic={}))
KEY = "AKIA0000000000000001"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """A server as `serve` makes it, in this process."""
    server = make_server(LOOPBACK, 0, Application(Stacks(), KEY), threaded=True, request_handler=QuietHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield Running(0, server.port, "now", KEY)
    server.shutdown()
    thread.join()
    server.server_close()


def client(running: Running, service: str, region: str = REGION, key: str = KEY) -> Any:
    credentials = {"aws_access_key_id": key, "aws_secret_access_key": "local"}
    return boto3.client(service, region, endpoint_url=running.url, **credentials)


def ask(running: Running, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> HTTPResponse:
    connection = HTTPConnection(LOOPBACK, running.port, timeout=10)
    connection.request(method, path, body, dict(headers))
    return connection.getresponse()


def signed(key: str, service: str = "cloudformation") -> str:
    return (
        f"AWS4-HMAC-SHA256 Credential={key}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )


PAGE = {"Origin": "https://evil.example.com", "Content-Type": "text/plain"}
CREATE = f"Action=CreateStack&StackName=evil&TemplateBody={BODY}"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("POST", "/", CREATE, PAGE),
        ("POST", "/", CREATE, {**PAGE, "Authorization": signed("AKIA0000000000000002")}),
        ("POST", "/", CREATE, {"Host": "evil.example.com", "Authorization": signed("000000000000")}),
        ("POST", "/", CREATE, {"Authorization": f"Bearer {KEY}"}),
        ("POST", f"/?X-Amz-Credential={KEY}/20260101/{REGION}/cloudformation/aws4_request", CREATE, {}),
        ("OPTIONS", "/", None, {**PAGE, "Access-Control-Request-Method": "PUT"}),
        ("GET", "/sandbox/stacks", None, {}),
        ("GET", "/moto-api/data.json", None, {}),
        ("POST", "/moto-api/reset", None, {}),
    ],
    ids=["page", "other key", "rebound name", "no signature", "in the address", "preflight", "ours", "data", "reset"],
)
def test_nobody_is_answered_without_the_key_be_it_a_web_page_or_another_user(
    running: Running, method: str, path: str, body: str | None, headers: Mapping[str, str]
) -> None:
    said = ask(running, method, path, body, headers)
    assert said.status == 403
    assert "blueprint sandbox env" in said.read().decode()
    assert not [name for name, _ in said.getheaders() if name.startswith("Access-Control-")]
    assert "evil" not in str(running.get("/sandbox/stacks"))


@pytest.mark.parametrize(("service", "operation"), [("sts", "get_caller_identity"), ("ssm", "describe_parameters")])
def test_a_terminal_with_the_key_of_another_start_is_told_how_to_get_this_one(
    running: Running, service: str, operation: str
) -> None:
    stranger = client(running, service, key="AKIA0000000000000002")
    with pytest.raises(ClientError, match=r"InvalidClientTokenId.*: .*eval \"\$\(blueprint sandbox env\)\"$"):
        getattr(stranger, operation)()


def test_the_key_opens_every_kind_of_service_and_so_does_a_role_that_was_taken_with_it(running: Running) -> None:
    made = client(running, "iam").create_role(RoleName="deployer", AssumeRolePolicyDocument="{}")["Role"]
    taken = client(running, "sts").assume_role(RoleArn=made["Arn"], RoleSessionName="me")["Credentials"]
    for key in (KEY, taken["AccessKeyId"]):
        s3 = client(running, "s3", key=key)
        s3.create_bucket(Bucket=f"of-{key.lower()}")
        s3.put_object(Bucket=f"of-{key.lower()}", Key="folder/file", Body=b"content")
        assert s3.get_object(Bucket=f"of-{key.lower()}", Key="folder/file")["Body"].read() == b"content"
        assert client(running, "sqs", key=key).list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert client(running, "cloudformation", key=key).list_stacks()["StackSummaries"] == []


def test_requests_for_cloudformation_are_ours_and_in_the_region_of_their_signature(running: Running) -> None:
    there = client(running, "cloudformation", "eu-west-1")
    there.create_stack(StackName="shop", TemplateBody=BODY)
    stacks = running.get("/sandbox/stacks")
    assert [(one["name"], one["region"], one["resources"]) for one in stacks] == [("shop", "eu-west-1", 1)]
    assert client(running, "cloudformation").describe_stacks()["Stacks"] == []
    there.delete_stack(StackName="shop")


def test_only_a_role_that_is_there_can_be_assumed(running: Running) -> None:
    arn = client(running, "iam").create_role(RoleName="somebody", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    sts = client(running, "sts")
    assert sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    for wrong in (arn.replace("somebody", "nobody"), re.sub(r"\d{12}", "999999999999", arn)):
        with pytest.raises(ClientError, match=r"AccessDenied.*bootstrap it first"):
            sts.assume_role(RoleArn=wrong, RoleSessionName="me")


def test_a_vault_says_that_it_holds_no_recovery_points(running: Running) -> None:
    said = client(running, "backup").list_recovery_points_by_backup_vault(BackupVaultName="shop-data")
    assert said["RecoveryPoints"] == []


def test_ids_of_hosted_zones_are_such_as_environment_files_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostedZoneIdentifier, "generate", HostedZoneIdentifier.generate)  # so that it comes back
    make_zone_ids_as_in_aws()
    route53 = Stacks().aws(REGION).client("route53")
    for number in range(20):
        made = route53.create_hosted_zone(Name="shop.example.com", CallerReference=str(number))["HostedZone"]
        assert made["Id"].startswith("/hostedzone/Z")
