"""What stays when an environment goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workbench.deploy.memory import Memory
from workbench.deploy import Refused
from workbench.deploy.leftovers import delete, kept, orphans, protected, sweep, tagged
from workbench.deploy.live import Aws, deployed
from workbench.templates import read_assembly


def test_production_keeps_what_holds_data_and_says_why(production: dict[int, Path]) -> None:
    memory = Memory.of(production[3])
    found = kept(deployed(read_assembly(production[3]), memory), memory)
    why = {one.type: one.why for one in found}
    assert why["AWS::S3::Bucket"] == "stays, DeletionPolicy Retain: objects"
    assert why["AWS::RDS::DBInstance"] == "a snapshot of it stays, DeletionPolicy Snapshot: a database"
    assert "AWS::KMS::Key" in why
    assert sum(one.type == "AWS::RDS::DBInstance" for one in found) == 1, "a copy is not kept"
    assert {one.stack for one in found} <= set(memory.stacks)


def test_a_sandbox_keeps_nothing(sandbox: dict[int, Path]) -> None:
    memory = Memory.of(sandbox[5])
    assert kept(deployed(read_assembly(sandbox[5]), memory), memory) == []


def test_what_would_refuse_to_go_is_said_with_the_way_to_let_it(production: dict[int, Path]) -> None:
    memory = Memory.of(production[3])
    found = list(protected(deployed(read_assembly(production[3]), memory), memory))
    stacks = [one for one in found if "update-termination-protection" in one]
    assert [one.partition(" ")[0] for one in stacks] == [
        f"shop-prod-{role}" for role in ("network", "data", "web", "signals")
    ]
    services = [one for one in found if one not in stacks]
    assert len(services) == 2
    assert "rds modify-db-instance --no-deletion-protection" in services[0]
    assert "elbv2 modify-load-balancer-attributes" in services[1]


def test_nothing_of_a_sandbox_is_protected(sandbox: dict[int, Path]) -> None:
    memory = Memory.of(sandbox[5])
    assert not list(protected(deployed(read_assembly(sandbox[5]), memory), memory))


@pytest.mark.parametrize("record", [False, True])
def test_only_parameters_of_the_environment_are_orphans(aws: Aws, record: bool) -> None:
    ssm = aws.client("ssm")
    names = ["/try/database/active", "/try/files/active", "/tryout/database/active", "/blueprint-deployments/try"]
    for name in names:
        ssm.put_parameter(Name=name, Value="x", Type="String")
    found = orphans("try", aws, record=record)
    assert found == names[:2] + names[3:] * record
    for name in found:
        delete(name, aws)
    assert orphans("try", aws, record=record) == []
    assert ssm.get_parameter(Name="/tryout/database/active")


def test_only_what_carries_the_environments_own_tag_is_listed(aws: Aws) -> None:
    for region, name in (("us-east-1", "try"), ("us-east-1", "tryout"), ("eu-west-1", "try")):
        tags = [{"Key": "shop:environment", "Value": name}]
        aws.client("sns", region).create_topic(Name=f"of-{name}", Tags=tags)
    assert tagged("try", aws, ["us-east-1"]) == ["arn:aws:sns:us-east-1:123456789012:of-try"]
    assert len(tagged("try", aws, ["eu-west-1", "us-east-1"])) == 2


@pytest.mark.slow
def test_a_sandbox_that_will_not_go_stops_the_destruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Refused, match="not everything of try would go"):
        sweep("try", "us-east-1")
