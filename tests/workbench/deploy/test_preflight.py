"""What must be true in the account, each question with every answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from blueprint.environment import Environment, load
from tests.workbench.deploy.memory import NOTHING
from workbench.deploy.gate import foresee
from workbench.deploy.live import Aws
from workbench.deploy.preflight import OLDEST_IMAGE_DAYS, Answer, checks
from workbench.templates import read_assembly

HOLDS, WARNS, EXPIRED, REFUSES = Answer.HOLDS, Answer.WARNS, Answer.EXPIRED, Answer.REFUSES
ACCOUNT = "123456789012"
TODAY = datetime.now(UTC).date()  # images and zones of the local AWS are as old as the test
Ask = Callable[..., tuple[Answer, str]]


@pytest.fixture
def ask(aws: Aws, production: dict[int, Path]) -> Ask:
    """The answer to one question, about production as it is written or with other pins."""

    def answer(
        name: str,
        *,
        stage: int = 3,
        today: date = TODAY,
        pins: dict[str, str | None] | None = None,
        **changes: object,
    ) -> tuple[Answer, str]:
        environment: Environment = replace(load("production", stage=str(stage)), account=ACCOUNT, **changes)  # type: ignore[arg-type]
        environment = replace(environment, pins=environment.pins.model_copy(update=pins or {}))
        outlook = foresee(NOTHING, read_assembly(production[stage]))
        found = [one for one in checks(environment, production[stage], outlook, aws, today=today) if one.name == name]
        assert len(found) == 1, found
        return found[0].answer, found[0].text

    return answer


@pytest.mark.parametrize(("version", "answer"), [(None, REFUSES), ("5", REFUSES), ("6", HOLDS), ("30", HOLDS)])
def test_the_bootstrap_is_as_new_as_the_assembly_wants(ask: Ask, aws: Aws, version: str | None, answer: Answer) -> None:
    if version:
        aws.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value=version, Type="String")
    found, text = ask("bootstrap in us-east-1")
    assert found is answer
    assert ("cdk bootstrap aws://123456789012/us-east-1" in text) is (answer is REFUSES)


@pytest.mark.parametrize(
    ("zones", "answer"), [(("us-east-1a", "us-east-1b", "us-east-1c"), HOLDS), (("us-east-1a", "us-east-1q"), REFUSES)]
)
def test_zones_are_those_that_the_account_has(ask: Ask, zones: tuple[str, ...], answer: Answer) -> None:
    found, text = ask("zones", zones=zones)
    assert found is answer
    assert ("does not offer us-east-1q to this account" in text) is (answer is REFUSES)


@pytest.fixture
def image(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The newest image of AWS for some kind of processor, as old as the test."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "true")

    def newest(architecture: str) -> str:
        path = f"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
        return str(aws.client("ssm").get_parameter(Name=path)["Parameter"]["Value"])

    return newest


@pytest.mark.parametrize(("age", "answer"), [(0, HOLDS), (OLDEST_IMAGE_DAYS, HOLDS), (OLDEST_IMAGE_DAYS + 1, EXPIRED)])
def test_a_pinned_image_ends_after_half_a_year(ask: Ask, image: Callable[[str], str], age: int, answer: Answer) -> None:
    found, text = ask("image", pins={"image": image("arm64")}, today=TODAY + timedelta(days=age))
    assert found is answer
    assert f"{age} days old" in text


def test_an_image_for_other_processors_is_refused(ask: Ask, image: Callable[[str], str]) -> None:
    found, text = ask("image", pins={"image": image("x86_64")})
    assert found is REFUSES
    assert "for x86_64" in text


def test_an_image_that_is_not_there_is_refused(ask: Ask) -> None:
    assert ask("image")[0] is REFUSES


def test_hosts_without_a_pinned_image_are_warned_about(ask: Ask) -> None:
    assert ask("image", pins={"image": None})[0] is WARNS


def test_the_address_list_is_the_one_of_the_edge(ask: Ask, aws: Aws) -> None:
    named = [{"Name": "prefix-list-name", "Values": ["com.amazonaws.global.cloudfront.origin-facing"]}]
    right = aws.client("ec2").describe_managed_prefix_lists(Filters=named)["PrefixLists"][0]["PrefixListId"]
    assert ask("edge addresses", stage=4, pins={"edge_prefix_list": right}) == (HOLDS, right)
    found, text = ask("edge addresses", stage=4)
    assert found is REFUSES
    assert right in text
    assert ask("edge addresses", stage=4, pins={"edge_prefix_list": None})[0] is WARNS


@pytest.mark.parametrize(
    ("zone", "private", "answer", "said"),
    [
        (None, False, REFUSES, "is not in account"),
        ("example.com", False, HOLDS, "holds shop.example.com"),
        ("shop.example.com", False, HOLDS, "holds shop.example.com"),
        ("op.example.com", False, REFUSES, "cannot hold shop.example.com"),
        ("example.com", True, REFUSES, "is private"),
    ],
)
def test_the_hosted_zone_holds_the_domain(
    ask: Ask, aws: Aws, zone: str | None, private: bool, answer: Answer, said: str
) -> None:
    zone_id = "Z0123456789ABCDEFGHIJ"
    if zone is not None:
        vpc = aws.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        within = {"VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}} if private else {}
        settings = {"Comment": "", "PrivateZone": private}
        made = aws.client("route53").create_hosted_zone(
            Name=zone, CallerReference="once", HostedZoneConfig=settings, **within
        )
        zone_id = made["HostedZone"]["Id"].rpartition("/")[2]
    found, text = ask("hosted zone", hosted_zone_id=zone_id)
    assert found is answer
    assert said in text


def test_a_quota_that_is_used_up_is_refused_with_its_code(ask: Ask, aws: Aws) -> None:
    assert ask("quota: VPCs") == (HOLDS, "1 in use, 1 more are needed, the quota is 5")
    for number in range(4):
        aws.client("ec2").create_vpc(CidrBlock=f"10.{number}.0.0/16")
    found, text = ask("quota: VPCs")
    assert found is REFUSES
    assert "quota L-F678F1CE" in text


def test_a_quota_that_nobody_tells_is_only_warned_about(ask: Ask, aws: Aws) -> None:
    for _ in range(5):
        aws.client("ec2").allocate_address()
    found, text = ask("quota: elastic addresses")
    assert found is WARNS
    assert text.startswith("5 in use, 3 more are needed, the quota is not told, and 5 in a new account; ask for more")


def test_reserved_functions_leave_what_lambda_wants_for_the_others(ask: Ask) -> None:
    _, text = ask("quota: functions at once", stage=5)
    assert "151 more are needed" in text


def test_what_cannot_be_asked_does_not_stop(ask: Ask) -> None:
    found, text = ask("mail")  # the local AWS does not know this question
    assert found is WARNS
    assert text.startswith("cannot be asked: ")
