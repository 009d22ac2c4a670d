"""Each rule sees what it is there for, says where, and cannot pass by having looked at nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from blueprint.profiles import PROFILES
from blueprint.stages import STAGES, find
from tests.workbench.bad_templates import (
    BAD,
    DISTRIBUTION_CONFIG,
    LISTENER,
    Bad,
    Stacks,
    distribution,
    edge_ingress,
    made,
    origin,
    ref,
    replaced,
    routed,
)
from workbench.check import RULES, CheckReport, check
from workbench.check.exceptions import Exemption, load
from workbench.check.rule import Finding, Rule, Wanted
from workbench.templates import Assembly, StackTemplate

TODAY = date(2026, 11, 1)
BY_ID = {rule.id: rule for rule in RULES}


def assembly(stacks: Stacks, sections: Mapping[str, Any] | None = None) -> Assembly:
    """Stacks of an environment called shop; `role@region` puts one elsewhere."""
    made_stacks = []
    for number, (place, resources) in enumerate(stacks.items()):
        role, _, region = place.partition("@")
        template = {"Resources": resources, **((sections or {}) if number == 0 else {})}
        made_stacks.append(StackTemplate(f"shop-{role}", role, template, region=region or "us-east-1"))
    return Assembly(tuple(made_stacks))


def wanted(stage: int, *, domain: bool = True, lock_origin: bool = True, profile: str = "production") -> Wanted:
    return Wanted(find(stage), PROFILES[profile], domain=domain, lock_origin=lock_origin)


def ask(
    rule: str, stacks: Stacks, stage: int = 5, *, sections: Mapping[str, Any] | None = None, profile: str = "production"
) -> list[Finding]:
    """What one rule finds in templates."""
    report = check(
        assembly(stacks, sections),
        wanted=wanted(stage, profile=profile),
        today=TODAY,
        exemptions=(),
        rules=[BY_ID[rule]],
    )
    return list(report.findings)


@pytest.mark.parametrize("bad", BAD, ids=[f"{bad.rule}-{bad.finds.replace(' ', '_')}" for bad in BAD])
def test_the_rule_sees_what_is_wrong(bad: Bad) -> None:
    found = ask(bad.rule, bad.stacks, bad.stage, sections=bad.sections)
    assert any(bad.finds in finding.problem for finding in found), "\n".join(finding.problem for finding in found)


@pytest.mark.parametrize("bad", BAD, ids=[f"{bad.rule}-{bad.finds.replace(' ', '_')}" for bad in BAD])
def test_a_finding_says_where(bad: Bad) -> None:
    seen = [each for each in ask(bad.rule, bad.stacks, bad.stage, sections=bad.sections) if bad.finds in each.problem]
    resources = {
        (place.partition("@")[0], logical_id, body["Type"])
        for place, stack in bad.stacks.items()
        for logical_id, body in stack.items()
    }
    assert {(finding.stack, finding.resource, finding.type) for finding in seen} <= resources


def test_every_rule_has_a_bad_template() -> None:
    assert {bad.rule for bad in BAD} == set(BY_ID)


def test_rules_have_different_ids() -> None:
    assert len(BY_ID) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_explains_itself(rule: Rule) -> None:
    for name in ("title", "why", "fix", "source"):
        assert len(str(getattr(rule, name))) > 10, name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_having_looked_at_nothing_is_a_finding_where_something_must_be(rule: Rule) -> None:
    for stage in STAGES:
        found = ask(rule.id, {"network": {}}, stage.number)
        expected = rule.expected(stage)
        assert bool(found) == expected
        assert all("nothing to look at" in finding.problem for finding in found)


def test_a_stage_without_the_part_may_have_nothing_to_look_at() -> None:
    assert ask("TR09", {"network": {}}, stage=3) == []
    assert ask("TR07", {"network": {}}, stage=2) == []


GOOD: tuple[tuple[str, Stacks], ...] = (
    ("HA02", edge_ingress(IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="0.0.0.0/0")),
    ("HA02", edge_ingress(IpProtocol="icmp", FromPort=-1, ToPort=-1, CidrIp="10.0.0.0/8")),
    ("HA05", edge_ingress(IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="0.0.0.0/0")),
    ("HA05", edge_ingress(IpProtocol="tcp", FromPort="80", ToPort="80", CidrIpv6="::/0")),
    ("HA05", edge_ingress(IpProtocol="tcp", FromPort=80, ToPort=80, SourcePrefixListId="pl-1")),
    ("HA07", {"network": {name: body for name, body in routed().items() if name != "Way"}}),
    ("HA14", {"web": {"Listener": LISTENER}}),
    (
        "HA14",
        {
            "web": {
                "Listener": replaced(
                    LISTENER,
                    Protocol="HTTP",
                    DefaultActions=[{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS"}}],
                )
            }
        },
    ),
    ("TR08-region", {"edge": distribution()}),
    (
        "TR14",
        {
            "data": {
                "Vault": made(
                    "Backup::BackupVault", BackupVaultName={"Fn::Join": ["-", ["shop-vault", {"Ref": "AWS::StackId"}]]}
                )
            }
        },
    ),
)


@pytest.mark.parametrize(("rule", "stacks"), GOOD, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(GOOD)])
def test_the_rule_lets_good_templates_pass(rule: str, stacks: Stacks) -> None:
    assert ask(rule, stacks) == []


def test_a_subnet_is_found_through_the_export_that_a_subnet_group_imports() -> None:
    stacks: Stacks = {
        "network": {
            **routed(GatewayId=ref("Gateway")),
            "Gateway": made("EC2::InternetGateway"),
            "Subnet": made("EC2::Subnet"),
        },
        "data": {"Subnets": made("RDS::DBSubnetGroup", SubnetIds=[{"Fn::ImportValue": "subnet"}])},
    }
    outputs = {"Outputs": {"Subnet": {"Value": ref("Subnet"), "Export": {"Name": "subnet"}}}}
    found = ask("HA07", stacks, sections=outputs)
    assert [(each.resource, each.problem) for each in found] == [
        ("Subnet", "can reach the internet: Subnet -> Way -> Gateway")
    ]


def test_protections_are_only_asked_for_where_the_profile_has_them() -> None:
    stacks: Stacks = {"data": {"Files": made("S3::Bucket", policy="Delete", replaced="Retain")}}
    assert ask("TR15", stacks, profile="sandbox") == []
    assert len(ask("TR15", stacks, profile="production")) == 1


def test_the_lock_may_be_open_between_the_two_passes_of_the_move() -> None:
    stacks: Stacks = {
        "edge": distribution(),
        "web": {"Listener": replaced(LISTENER, DefaultActions=[{"Type": "forward"}])},
    }
    for locked, findings in ((True, 1), (False, 0)):
        report = check(
            assembly(stacks),
            wanted=wanted(4, lock_origin=locked),
            today=TODAY,
            exemptions=(),
            rules=[BY_ID["TR08-lock"]],
        )
        assert len(report.findings) == findings


# --- Exceptions -------------------------------------------------------------------------------------------------------

PLAIN: Stacks = {
    "web": {"Listener": replaced(LISTENER, Protocol="HTTP")},
    "edge": distribution(Origins=origin(CustomOriginConfig={"OriginProtocolPolicy": "http-only"})),
}


def plain(*, today: date = TODAY, domain: bool = False, stacks: Stacks = PLAIN) -> CheckReport:
    return check(
        assembly(stacks),
        wanted=wanted(4, domain=domain, profile="sandbox"),
        today=today,
        exemptions=load(),
        rules=[BY_ID["HA14"], BY_ID["HA13"]],
    )


def test_plain_http_passes_under_its_exception_and_is_reported() -> None:
    report = plain()
    assert report.ok
    assert {(each.finding.resource, each.by.id) for each in report.excused} == {
        ("Listener", "plain-http-without-a-domain"),
        ("Edge", "plain-http-without-a-domain"),
    }


def test_plain_http_is_no_exception_with_a_domain() -> None:
    assert {finding.resource for finding in plain(domain=True).findings} == {"Listener", "Edge"}


def test_an_exception_holds_through_its_last_day_and_then_says_that_it_has_ended() -> None:
    [exemption] = [each for each in load() if each.rule == "HA14"]
    assert plain(today=exemption.expires).ok
    ended = plain(today=exemption.expires + timedelta(days=1))
    assert len(ended.findings) == 2
    assert all(f"its exception {exemption.id} ended on" in finding.problem for finding in ended.findings)


def test_an_exception_covers_neither_another_place_nor_another_rule() -> None:
    assert len(plain(stacks={"workers": PLAIN["web"], "edge": distribution()}).findings) == 1
    open_to_viewers = {"edge": distribution(**{**DISTRIBUTION_CONFIG, "DefaultCacheBehavior": {}})}
    assert [finding.rule for finding in plain(stacks=open_to_viewers).findings] == ["HA13"]


@pytest.mark.parametrize(
    "row",
    [
        'reason = "not needed"\nexpires = 2027-01-01',
        'reason = "a reason that somebody could accept"\nexpires = "never"',
    ],
)
def test_an_exception_needs_a_reason_and_a_date(tmp_path: Path, row: str) -> None:
    file = tmp_path / "exceptions.toml"
    file.write_text(f'[[exception]]\nid = "x"\nrule = "HA01"\nscope = ["web/*"]\n{row}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="x needs a reason"):
        load(file)


def test_exceptions_are_for_rules_that_exist() -> None:
    for exemption in load():
        assert isinstance(exemption, Exemption)
        assert exemption.rule in BY_ID


def test_problems_read_as_the_end_of_a_sentence() -> None:
    for bad in BAD:
        for finding in ask(bad.rule, bad.stacks, bad.stage, sections=bad.sections):
            assert not re.match(r"[A-Z]", finding.problem)
            assert not finding.problem.endswith(".")
