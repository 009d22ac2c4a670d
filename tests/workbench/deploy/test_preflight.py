"""What must be true in the account, each question with every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.ses.models import ses_backends

from blueprint.environment import UNSET_ACCOUNT, Environment, load
from tests.workbench.deploy.memory import NOTHING
from workbench.deploy import preflight
from workbench.deploy.gate import foresee
from workbench.deploy.live import Aws
from workbench.deploy.preflight import OLDEST_IMAGE_DAYS, Answer, checks
from workbench.templates import Assembly, read_assembly

HOLDS, WARNS, EXPIRED, REFUSES = Answer.HOLDS, Answer.WARNS, Answer.EXPIRED, Answer.REFUSES
ACCOUNT = "123456789012"
TODAY = datetime.now(UTC).date()  # images and zones of the local AWS are as old as the test
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def clients() -> Iterator[Aws]:
    """Clients for all questions; boto3 takes longer to make one than to ask."""
    with mock_aws():
        yield Aws("us-east-1")


@pytest.fixture
def aws(clients: Aws) -> Aws:
    """An account of moto's, empty again."""
    BackendDict.reset()
    return clients


@pytest.fixture
def ask(aws: Aws, production: dict[int, Path]) -> Ask:
    """The answer to one question, about production as it is written or with other pins."""

    def answer(
        name: str,
        *,
        stage: int = 3,
        today: date = TODAY,
        before: Assembly = NOTHING,
        after: Assembly | None = None,
        pins: dict[str, str | None] | None = None,
        **changes: object,
    ) -> tuple[Answer, str] | None:
        environment: Environment = replace(load("production", stage=str(stage)), **{"account": ACCOUNT, **changes})  # type: ignore[arg-type]
        environment = replace(environment, pins=environment.pins.model_copy(update=pins or {}))
        outlook = foresee(before, after or read_assembly(production[stage]))
        asked = checks(environment, production[stage], outlook, aws, today=today)
        return next(((one.answer, one.text) for one in asked if one.name == name), None)

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
    assert ask("edge addresses", stage=4, account=UNSET_ACCOUNT) is None


# --- What a domain needs ----------------------------------------------------------------------------------------------


@pytest.fixture
def make_zone(aws: Aws) -> Callable[..., str]:
    """Makes a zone with records, each as name, type and value; returns its id."""

    def make(name: str, *records: tuple[str, str, str], private: bool = False) -> str:
        route53, within = aws.client("route53"), {}
        if private:
            vpc = aws.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
            within = {"VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}}
        settings = {"Comment": "", "PrivateZone": private}
        made = route53.create_hosted_zone(Name=name, CallerReference="once", HostedZoneConfig=settings, **within)
        sets = [
            {"Name": at, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]} for at, kind, value in records
        ]
        if sets:
            changes = [{"Action": "CREATE", "ResourceRecordSet": one} for one in sets]
            route53.change_resource_record_sets(HostedZoneId=made["HostedZone"]["Id"], ChangeBatch={"Changes": changes})
        return str(made["HostedZone"]["Id"].rpartition("/")[2])

    return make


@pytest.mark.parametrize(
    ("zone", "private", "answer", "said"),
    [
        ("example.com", False, HOLDS, "holds shop.example.com; `dig +short NS example.com` must say ns-"),
        ("shop.example.com", False, HOLDS, "holds shop.example.com"),
        ("op.example.com", False, REFUSES, "cannot hold shop.example.com"),
        ("example.com", True, REFUSES, "is private"),
    ],
)
def test_the_hosted_zone_holds_the_domain(
    ask: Ask, make_zone: Callable[..., str], zone: str, private: bool, answer: Answer, said: str
) -> None:
    found, text = ask("hosted zone", hosted_zone_id=make_zone(zone, private=private))
    assert found is answer
    assert said in text


def test_a_hosted_zone_of_another_account_is_refused(ask: Ask) -> None:
    found, text = ask("hosted zone")
    assert found is REFUSES
    assert "is not in account 123456789012" in text


@pytest.mark.parametrize(
    ("record", "taken"),
    [
        (("www.example.com", "A", "203.0.113.1"), ""),
        (("shop.example.com", "TXT", '"hello"'), ""),
        (("shop.example.com", "A", "203.0.113.1"), "shop.example.com (A)"),
        (("shop.example.com", "CNAME", "elsewhere.example.net"), "shop.example.com (CNAME)"),
        (("origin.shop.example.com", "A", "203.0.113.1"), "origin.shop.example.com (A)"),
        (("mail.shop.example.com", "MX", "10 mail.example.net"), "mail.shop.example.com (MX)"),
    ],
)
def test_records_that_the_stacks_would_make_must_not_be_there(
    ask: Ask, make_zone: Callable[..., str], record: tuple[str, str, str], taken: str
) -> None:
    zone = make_zone("example.com", record)
    found, text = ask("records", hosted_zone_id=zone)
    assert found is (REFUSES if taken else HOLDS)
    assert text.startswith(
        f"{taken}: in the zone already"
        if taken
        else "mail.shop.example.com, origin.shop.example.com, shop.example.com: free"
    )


def test_records_that_the_stacks_have_made_are_theirs(
    ask: Ask, make_zone: Callable[..., str], production: dict[int, Path]
) -> None:
    zone = make_zone("example.com", ("shop.example.com", "A", "203.0.113.1"))
    assert ask("records", hosted_zone_id=zone, stage=4, before=read_assembly(production[3])) is None


@pytest.mark.parametrize(
    ("at", "value", "shut"),
    [
        ("example.com", '0 issue "letsencrypt.org"', "example.com"),
        ("example.com", '0 issue ";"', "example.com"),
        ("shop.example.com", '0 issue "letsencrypt.org"', "shop.example.com"),
        ("origin.shop.example.com", '0 issue "letsencrypt.org"', "origin.shop.example.com"),
        ("www.example.com", '0 issue "letsencrypt.org"', None),
        ("example.com", '0 issue "amazontrust.com"', None),
        ("example.com", '0 issue "amazon.com; policy=ev"', None),
        ("example.com", '0 iodef "mailto:security@example.com"', None),
    ],
)
def test_others_may_forbid_a_certificate(
    ask: Ask, make_zone: Callable[..., str], production: dict[int, Path], at: str, value: str, shut: str | None
) -> None:
    zone = make_zone("example.com", (at, "CAA", value))
    found, text = ask("certificate of web", hosted_zone_id=zone)
    assert found is (REFUSES if shut else HOLDS)
    assert text.startswith(f"CAA of {shut} names other authorities" if shut else "is made in us-east-1")
    if shut:  # one that is there already works until it is renewed
        assert ask("certificate of web", hosted_zone_id=zone, before=read_assembly(production[3]))[0] is WARNS


def test_a_record_nearer_to_the_domain_decides_about_certificates(ask: Ask, make_zone: Callable[..., str]) -> None:
    others, ours = '0 issue "letsencrypt.org"', '0 issue "amazon.com"'
    zone = make_zone("example.com", ("example.com", "CAA", others), ("shop.example.com", "CAA", ours))
    assert ask("certificate of web", hosted_zone_id=zone)[0] is HOLDS


def test_the_edge_has_a_certificate_of_its_own(
    ask: Ask, make_zone: Callable[..., str], production: dict[int, Path]
) -> None:
    zone = make_zone("example.com")
    assert ask("certificate of edge", hosted_zone_id=zone, stage=4, before=read_assembly(production[3]))[0] is HOLDS


def test_a_certificate_that_is_there_and_not_issued_is_told(
    ask: Ask, aws: Aws, make_zone: Callable[..., str], production: dict[int, Path]
) -> None:
    zone, there = make_zone("example.com"), read_assembly(production[3])
    assert ask("certificate of web", hosted_zone_id=zone, before=there) == (HOLDS, "issued")
    aws.client("acm").request_certificate(DomainName="shop.example.com", ValidationMethod="DNS")
    found, text = ask("certificate of web", hosted_zone_id=zone, before=there)
    assert found is WARNS
    assert "is PENDING_VALIDATION; look: aws acm describe-certificate" in text


@pytest.mark.parametrize(
    ("known", "new", "answer", "said"),
    [
        (False, True, HOLDS, "shop.example.com is made"),
        (True, True, REFUSES, "aws sesv2 delete-email-identity --email-identity shop.example.com"),
        (True, False, WARNS, "shop.example.com is not verified, so no customer gets mail"),
        (False, False, WARNS, "shop.example.com is not there"),
    ],
)
def test_a_stack_makes_the_identity_of_a_domain_and_takes_over_none(
    ask: Ask, aws: Aws, production: dict[int, Path], known: bool, new: bool, answer: Answer, said: str
) -> None:
    if known:
        aws.client("sesv2").create_email_identity(EmailIdentity="shop.example.com")
    found, text = ask("mail identity", before=NOTHING if new else read_assembly(production[3]))
    assert found is answer
    assert said in text


@pytest.mark.parametrize(
    ("known", "verified", "answer", "said"),
    [
        (False, False, WARNS, "aws sesv2 create-email-identity --email-identity me@example.com, then follow the link"),
        (True, False, WARNS, "me@example.com is not verified"),
        (True, True, HOLDS, "me@example.com is verified"),
    ],
)
def test_an_address_that_mail_is_from_is_verified_by_a_person(
    ask: Ask, aws: Aws, sandbox: dict[int, Path], known: bool, verified: bool, answer: Answer, said: str
) -> None:
    if known:
        aws.client("sesv2").create_email_identity(EmailIdentity="me@example.com")
        inside = ses_backends[ACCOUNT]["us-east-1"].email_identities["me@example.com"]
        inside.verified_for_sending_status = verified
    there = read_assembly(sandbox[3])
    mine = {"domain": None, "hosted_zone_id": None, "alarm_email": "me@example.com"}
    found, text = ask("mail identity", before=there, after=there, **mine)
    assert found is answer
    assert said in text


def test_without_a_domain_and_an_address_nobody_sends_mail(ask: Ask, sandbox: dict[int, Path]) -> None:
    nobody = {"domain": None, "hosted_zone_id": None, "alarm_email": None, "after": read_assembly(sandbox[3])}
    assert ask("mail identity", **nobody) is None
    assert ask("mail", **nobody) is None


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


def test_an_image_that_cannot_be_asked_about_needs_a_reason(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(preflight, "_image", denied)
    found, text = ask("image")
    assert found is EXPIRED
    assert text.startswith("cannot be asked: ")


def test_what_cannot_be_asked_does_not_stop(ask: Ask) -> None:
    assert ask("mail") == (WARNS, "not answered by this AWS")  # the local AWS does not know this question


def test_a_page_instead_of_an_answer_is_not_shown(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def page(*_: object) -> None:
        raise ClientError({"Error": {"Code": "404", "Message": "<!doctype html>\n<title>Not Found"}}, "GetAccount")

    monkeypatch.setattr(preflight, "_mail", page)
    assert ask("mail") == (WARNS, "not answered by this AWS")
