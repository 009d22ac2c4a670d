"""Mail: a proven sender, encrypted on its way, and a warning before AWS stops it."""

from __future__ import annotations

import aws_cdk as cdk
import pytest

from building_blocks.mail import Mail
from tests.building_blocks.alone import ACCOUNT, REGION, ForeignApp, Template, only, resources, synth_alone

Made = tuple[Template, Mail, list[object]]


def synth(*, domain: str | None = None, zone: str | None = None, address: str | None = None) -> Made:
    made: list[Mail] = []
    arns: list[object] = []

    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        mail = Mail(
            stack,
            "Mail",
            environment_name="trial",
            domain=domain,
            hosted_zone_id=zone,
            address=address,
            alerts=theirs.alerts,
        )
        made.append(mail)
        arns.extend(stack.resolve(mail.sending_arns))

    return synth_alone(build), made[0], arns


@pytest.fixture(scope="module")
def with_domain() -> Made:
    return synth(domain="trial.example.com", zone="Z0123456789", address="ops@example.com")


def test_a_domain_is_proven_by_three_signing_records_in_its_zone(with_domain: Made) -> None:
    records = [one["Properties"] for one in resources(with_domain[0], "AWS::Route53::RecordSet").values()]
    assert {one["HostedZoneId"] for one in records} == {"Z0123456789"}
    assert sorted(one["Type"] for one in records) == ["CNAME", "CNAME", "CNAME", "MX", "TXT"]


def test_bounces_come_back_to_a_subdomain_or_the_mail_is_not_sent(with_domain: Made) -> None:
    identity = only(with_domain[0], "AWS::SES::EmailIdentity")
    assert identity["EmailIdentity"] == "trial.example.com"
    assert identity["MailFromAttributes"] == {
        "BehaviorOnMxFailure": "REJECT_MESSAGE",
        "MailFromDomain": "mail.trial.example.com",
    }


def test_the_domain_comes_before_the_address(with_domain: Made) -> None:
    assert with_domain[1].sender == "shop@trial.example.com"


def test_hosts_find_the_sender_and_the_rules(with_domain: Made) -> None:
    published = {
        one["Properties"]["Name"]: one["Properties"]["Value"]
        for one in resources(with_domain[0], "AWS::SSM::Parameter").values()
    }
    assert published["/trial/mail/from"] == "shop@trial.example.com"
    assert published["/trial/mail/rules"]["Ref"] in resources(with_domain[0], "AWS::SES::ConfigurationSet")


def test_the_rules_are_the_identitys_default(with_domain: Made) -> None:
    template = with_domain[0]
    default = only(template, "AWS::SES::EmailIdentity")["ConfigurationSetAttributes"]["ConfigurationSetName"]
    assert default["Ref"] in resources(template, "AWS::SES::ConfigurationSet")


def test_an_address_is_used_but_not_owned_because_environments_may_share_it() -> None:
    template, mail, arns = synth(address="ops@example.com")
    assert not resources(template, "AWS::SES::EmailIdentity")
    assert mail.sender == "ops@example.com"
    assert arns[0] == f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/ops@example.com"
    assert len(arns) == 2


def test_nobody_may_send_without_a_domain_or_an_address() -> None:
    template, mail, arns = synth()
    assert (mail.sender, mail.rules_name, arns) == (None, None, [])
    assert not resources(template, "AWS::SES::ConfigurationSet")


def test_mail_travels_over_tls_and_never_again_to_who_refused_it(with_domain: Made) -> None:
    rules = only(with_domain[0], "AWS::SES::ConfigurationSet")
    assert rules["DeliveryOptions"] == {"TlsPolicy": "REQUIRE"}
    assert rules["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]}
    assert rules["ReputationOptions"] == {"ReputationMetricsEnabled": True}
    assert "Name" not in rules


def test_somebody_is_told_before_aws_stops_the_mail(with_domain: Made) -> None:
    alarms = [one["Properties"] for one in resources(with_domain[0], "AWS::CloudWatch::Alarm").values()]
    assert {one["MetricName"]: one["Threshold"] for one in alarms} == {
        "Reputation.BounceRate": 0.05,
        "Reputation.ComplaintRate": 0.001,
    }


def test_what_becomes_of_a_mail_is_told_to_the_accounts_own_bus(with_domain: Made) -> None:
    told = only(with_domain[0], "AWS::SES::ConfigurationSetEventDestination")["EventDestination"]
    assert told["EventBridgeDestination"]["EventBusArn"].endswith(f":{REGION}:{ACCOUNT}:event-bus/default")
    assert sorted(told["MatchingEventTypes"]) == ["bounce", "complaint", "delivery", "reject", "send"]
