"""What the web stack promises: hosts that can be lost, releases that can be taken back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blueprint.environment import Environment
from tests.stacks.reading import of_type, only, parameters, properties, statements, template, text

Synth = Callable[[Environment], Path]


@pytest.mark.parametrize("stage", [1, 2])
def test_the_single_host_takes_metadata_by_token_and_has_no_key(production: dict[int, Path], stage: int) -> None:
    host = properties(template(production[stage], "web"), "AWS::EC2::Instance")
    assert host["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert "KeyName" not in host
    assert host["InstanceType"] == "t4g.medium"
    assert host["DisableApiTermination"] is True
    assert "CreationPolicy" not in only(template(production[stage], "web"), "AWS::EC2::Instance")


def test_session_manager_is_the_way_in(production: dict[int, Path]) -> None:
    for stage in (1, 3):
        assert statements(template(production[stage], "web"), "ssmmessages:OpenDataChannel")


def test_the_single_host_keeps_its_address(production: dict[int, Path]) -> None:
    web = template(production[1], "web")
    address = properties(web, "AWS::EC2::EIPAssociation")
    assert address["InstanceId"] == {"Ref": next(iter(of_type(web, "AWS::EC2::Instance")))}


def test_the_single_host_gets_a_certificate_when_there_is_a_domain(
    production: dict[int, Path], sandbox: dict[int, Path]
) -> None:
    with_domain, without = (
        text(properties(template(assembly[1], "web"), "AWS::EC2::Instance")["UserData"])
        for assembly in (production, sandbox)
    )
    assert "export SHOP_DOMAIN=shop.example.com" in with_domain
    assert "export SHOP_DOMAIN" not in without


def test_a_running_host_follows_the_release_when_it_changes(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    environment = load_production(1)
    other = replace(environment, pins=environment.pins.model_copy(update={"release": "a" * 64}))
    before, after = template(synth(environment), "web"), template(synth(other), "web")
    changed = {name for name in before["Resources"] if before["Resources"][name] != after["Resources"][name]}
    assert {before["Resources"][name]["Type"] for name in changed} == {"AWS::SSM::Parameter", "AWS::SSM::Association"}


def test_visitors_are_sent_to_the_fleet_only_when_its_hosts_answer(production: dict[int, Path]) -> None:
    """The group is made when its hosts have signalled; a record that does not wait for it is an outage at stage 3."""
    web = template(production[3], "web")
    waits_for = web["Resources"]["OriginRecord"]["DependsOn"]
    (group,) = of_type(web, "AWS::AutoScaling::AutoScalingGroup")
    assert group in waits_for
    assert "CreationPolicy" in web["Resources"][group]
    assert set(of_type(web, "AWS::ElasticLoadBalancingV2::ListenerRule")) <= set(waits_for)


def test_the_host_may_attach_an_encrypted_volume(production: dict[int, Path]) -> None:
    web = template(production[1], "web")
    for action in ("ec2:AttachVolume", "kms:CreateGrant", "kms:DescribeKey", "kms:Decrypt"):
        assert statements(web, action), action


def test_the_release_is_named_before_the_host_is_told_to_follow_it(production: dict[int, Path]) -> None:
    """The host reads the parameter; told too early, it would find the old name and never look again."""
    web = template(production[1], "web")
    (release,) = [name for name in of_type(web, "AWS::SSM::Parameter") if name.startswith("Release")]
    (follow,) = [
        found
        for found in of_type(web, "AWS::SSM::Association").values()
        if "Release" in found["Properties"]["Parameters"]
    ]
    assert release in follow["DependsOn"]


def test_patches_wait_for_their_hour(production: dict[int, Path]) -> None:
    """An association also runs when it is made: it would restart the host in the middle of its first boot."""
    (patches,) = [
        found["Properties"]
        for found in of_type(template(production[1], "web"), "AWS::SSM::Association").values()
        if found["Properties"]["Name"] == "AWS-RunPatchBaseline"
    ]
    assert patches["ApplyOnlyAtCronInterval"] is True
    assert patches["ScheduleExpression"].startswith("cron(")


def test_a_new_release_rolls_the_fleet_and_an_old_one_rolls_it_back(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    environment = load_production(3)
    old, new = (
        replace(environment, pins=environment.pins.model_copy(update={"release": letter * 64})) for letter in "ab"
    )
    before, after, back = (template(synth(each), "web") for each in (old, new, old))
    changed = {name for name in before["Resources"] if before["Resources"][name] != after["Resources"][name]}
    assert {before["Resources"][name]["Type"] for name in changed} == {
        "AWS::SSM::Parameter",
        "AWS::EC2::LaunchTemplate",
    }
    assert parameters(after)["/shop-prod/release"].endswith(f"{'b' * 64}.zip")
    assert back == before


@pytest.mark.parametrize("stage", [3, 4, 5])
def test_the_fleet_rolls_carefully_and_heals(production: dict[int, Path], stage: int) -> None:
    web = template(production[stage], "web")
    group = only(web, "AWS::AutoScaling::AutoScalingGroup")
    refresh = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]["Preferences"]
    assert (refresh["MinHealthyPercentage"], refresh["MaxHealthyPercentage"]) == (100, 120)
    assert len(refresh["AlarmSpecification"]["Alarms"]) == 2
    assert group["Properties"]["HealthCheckType"] == "ELB"
    assert "DesiredCapacity" not in group["Properties"]
    assert group["Properties"]["InstanceMaintenancePolicy"] == {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 120,
    }
    assert len(group["Properties"]["VPCZoneIdentifier"]) == 3


def test_a_new_host_waits_until_its_application_answers(production: dict[int, Path]) -> None:
    web = template(production[3], "web")
    group = only(web, "AWS::AutoScaling::AutoScalingGroup")
    (hook,) = group["Properties"]["LifecycleHookSpecificationList"]
    assert hook["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_LAUNCHING"
    assert hook["DefaultResult"] == "ABANDON"
    assert group["CreationPolicy"]["ResourceSignal"]["Count"] == 2
    (logical_id,) = of_type(web, "AWS::AutoScaling::AutoScalingGroup")
    script = text(properties(web, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["UserData"])
    assert f"export SHOP_GROUP={logical_id}" in script
    assert f"export SHOP_HOOK={hook['LifecycleHookName']}" in script


@pytest.mark.parametrize("stage", [3, 4, 5])
def test_the_fleet_follows_cpu_and_requests(production: dict[int, Path], stage: int) -> None:
    policies = of_type(template(production[stage], "web"), "AWS::AutoScaling::ScalingPolicy").values()
    assert {
        policy["Properties"]["TargetTrackingConfiguration"]["PredefinedMetricSpecification"]["PredefinedMetricType"]
        for policy in policies
    } == {"ASGAverageCPUUtilization", "ALBRequestCountPerTarget"}


def test_the_load_balancer_logs_and_drops_broken_headers(production: dict[int, Path]) -> None:
    balancer = properties(template(production[3], "web"), "AWS::ElasticLoadBalancingV2::LoadBalancer")
    attributes = {item["Key"]: item["Value"] for item in balancer["LoadBalancerAttributes"]}
    assert attributes["access_logs.s3.enabled"] == "true"
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["deletion_protection.enabled"] == "true"


def test_a_firewall_stands_before_the_load_balancer(production: dict[int, Path]) -> None:
    web = template(production[3], "web")
    association = properties(web, "AWS::WAFv2::WebACLAssociation")
    (balancer,) = of_type(web, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert association["ResourceArn"] == {"Ref": balancer}


def _listeners(assembly: Path) -> dict[int, dict[str, Any]]:
    found = of_type(template(assembly, "web"), "AWS::ElasticLoadBalancingV2::Listener").values()
    return {listener["Properties"]["Port"]: listener["Properties"] for listener in found}


def _rules(assembly: Path) -> dict[int, dict[str, Any]]:
    found = of_type(template(assembly, "web"), "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    return {rule["Properties"]["Priority"]: rule["Properties"] for rule in found}


def test_with_a_domain_plain_http_is_only_a_redirect(production: dict[int, Path]) -> None:
    listeners = _listeners(production[3])
    assert set(listeners) == {80, 443}
    assert "redirect" in text(listeners[80]["DefaultActions"])
    assert listeners[443]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13")


def test_internal_paths_are_refused_and_only_own_names_admitted(production: dict[int, Path]) -> None:
    rules = _rules(production[3])
    assert "/readyz" in text(rules[10]["Conditions"])
    assert "404" in text(rules[10]["Actions"])
    assert '"shop.example.com", "origin.shop.example.com"' in text(rules[20]["Conditions"])
    assert "forward" in text(rules[20]["Actions"])
    assert "404" in text(_listeners(production[3])[443]["DefaultActions"])


@pytest.mark.parametrize("stage", [4, 5])
def test_behind_the_edge_only_requests_with_the_origin_key_are_admitted(
    production: dict[int, Path], stage: int
) -> None:
    assert "403" in text(_listeners(production[stage])[443]["DefaultActions"])
    admitted = _rules(production[stage])[20]
    assert "X-Origin-Verify" in text(admitted["Conditions"])
    assert "resolve:secretsmanager" in text(admitted["Conditions"])


def test_the_lock_is_open_while_the_edge_is_being_put_in_front(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    environment = load_production(4)
    opened = synth(replace(environment, transition=environment.transition.model_copy(update={"lock_origin": False})))
    assert "X-Origin-Verify" not in text(_rules(opened))


def test_during_a_rotation_the_old_and_the_new_origin_key_are_accepted(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    environment = load_production(4)
    web = template(
        synth(replace(environment, pins=environment.pins.model_copy(update={"origin_key_generation": 3}))), "web"
    )
    keys = set(of_type(web, "AWS::SecretsManager::Secret"))
    assert {name[:21] for name in keys} == {"OriginKeysGeneration2", "OriginKeysGeneration3"}
    conditions = text(
        [
            rule["Properties"]["Conditions"]
            for rule in of_type(web, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
        ]
    )
    assert all(name in conditions for name in keys)


def test_one_rule_never_compares_more_values_than_a_load_balancer_can(production: dict[int, Path]) -> None:
    for stage in (3, 4, 5):
        for rule in _rules(production[stage]).values():
            values = sum(
                len(config["Values"])
                for condition in rule["Conditions"]
                for config in condition.values()
                if isinstance(config, dict)
            )
            assert 1 <= values <= 5


@pytest.mark.parametrize("stage", [3, 4, 5])
def test_hosts_log_in_to_every_database_by_token(production: dict[int, Path], stage: int) -> None:
    (statement,) = statements(template(production[stage], "web"), "rds-db:connect")
    resources = statement["Resource"]
    assert len(resources) == {3: 2, 4: 3, 5: 3}[stage]
    assert "shop_app" in text(resources)


@pytest.mark.parametrize("stage", [1, 3])
def test_a_strange_mail_address_is_only_a_word_to_the_boot_script(
    load_production: Callable[[int], Environment], synth: Synth, stage: int
) -> None:
    strange = "o'brien`id`$(id)&x@example.com"
    web = template(synth(replace(load_production(stage), alarm_email=strange)), "web")
    (script,) = [
        found["Properties"]["UserData"]["Fn::Base64"] for found in of_type(web, "AWS::EC2::Instance").values()
    ] or [
        found["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]
        for found in of_type(web, "AWS::EC2::LaunchTemplate").values()
    ]
    settings = [line for line in script.splitlines() if line.startswith("export ")]
    shown = subprocess.run(
        ["bash", "-euc", "\n".join([*settings, 'printf %s "${SHOP_EMAIL:-}"'])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == (strange if stage == 1 else "")


def test_a_replaced_host_is_not_kept_because_it_would_keep_the_volume(production: dict[int, Path]) -> None:
    host = only(template(production[1], "web"), "AWS::EC2::Instance")
    assert (host["DeletionPolicy"], host["UpdateReplacePolicy"]) == ("Retain", "Delete")


@pytest.mark.parametrize(("stage", "limited"), [(3, True), (4, False), (5, False)])
def test_one_address_is_limited_where_visitors_are_seen_as_themselves(
    production: dict[int, Path], stage: int, limited: bool
) -> None:
    front = properties(template(production[stage], "web"), "AWS::WAFv2::WebACL")
    assert ("RateBasedStatement" in text(front)) is limited
    if stage >= 4:
        edge = properties(template(production[stage], "edge"), "AWS::WAFv2::WebACL")
        assert "RateBasedStatement" in text(edge)


def test_hosts_log_in_to_the_cache_by_token(production: dict[int, Path]) -> None:
    (statement,) = statements(template(production[4], "web"), "elasticache:Connect")
    assert len(statement["Resource"]) == 2


@pytest.mark.parametrize("stage", [1, 2, 3, 4, 5])
def test_user_data_is_a_script_that_cloud_init_runs_and_ec2_takes(production: dict[int, Path], stage: int) -> None:
    """cloud-init goes by the first line, and bash has to understand the rest; EC2 takes 16 KiB."""
    web = template(production[stage], "web")
    if of_type(web, "AWS::EC2::Instance"):
        given = properties(web, "AWS::EC2::Instance")["UserData"]
    else:
        given = properties(web, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["UserData"]
    joined = given["Fn::Base64"]
    parts = joined["Fn::Join"][1] if isinstance(joined, dict) else [joined]
    script = "".join(part if isinstance(part, str) else "x" * 80 for part in parts)
    assert script.startswith("#!/bin/bash\n")
    assert len(script.encode()) < 12 * 1024
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
