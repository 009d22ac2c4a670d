"""What stays when an environment goes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from blueprint.environment import load
from tests.workbench.deploy.memory import Memory
from workbench.deploy import Refused
from workbench.deploy.leftovers import delete_parameters, kept, sweep, tagged
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


def test_a_host_is_not_said_to_stay_since_it_must_go_before_its_network(production: dict[int, Path]) -> None:
    memory = Memory.of(production[1])
    types = {one.type for one in kept(deployed(read_assembly(production[1]), memory), memory)}
    assert "AWS::EC2::Volume" in types
    assert "AWS::EC2::Instance" not in types


@pytest.mark.parametrize("record", [False, True])
def test_only_parameters_of_the_environment_go_with_it(aws: Aws, record: bool) -> None:
    ssm = aws.client("ssm")
    names = ["/try/database/active", "/try/files/active", "/tryout/database/active", "/blueprint-deployments/try"]
    for name in names:
        ssm.put_parameter(Name=name, Value="x", Type="String")
    assert delete_parameters("try", aws, record=record) == names[:2] + names[3:] * record
    left = {one["Name"] for one in ssm.describe_parameters()["Parameters"]}
    assert left == set(names[2:] if not record else names[2:3])
    assert delete_parameters("try", aws, record=record) == []


def test_only_what_carries_the_environments_own_tag_is_listed(aws: Aws) -> None:
    for region, name in (("us-east-1", "try"), ("us-east-1", "tryout"), ("eu-west-1", "try")):
        tags = [{"Key": "shop:environment", "Value": name}]
        aws.client("sns", region).create_topic(Name=f"of-{name}", Tags=tags)
    assert tagged("try", aws, ["us-east-1"]) == ["arn:aws:sns:us-east-1:123456789012:of-try"]
    assert len(tagged("try", aws, ["eu-west-1", "us-east-1"])) == 2


@pytest.mark.parametrize(("endless", "more"), [(False, []), (True, ["--endless"])])
@pytest.mark.parametrize("status", [0, 1])
def test_a_sandbox_is_swept_in_its_own_account_and_one_that_will_not_go_stops_the_destruction(
    monkeypatch: pytest.MonkeyPatch, endless: bool, more: list[str], status: int
) -> None:
    lines: list[list[str]] = []

    def program(line: list[str], *, check: bool) -> CompletedProcess[str]:
        assert not check
        lines.append(line)
        return CompletedProcess(line, status)

    monkeypatch.setattr("subprocess.run", program)
    sandbox = replace(load("sandbox"), account="123456789012")
    with pytest.raises(Refused, match="not everything of shop would go") if status else nullcontext():
        sweep(sandbox, endless=endless)
    ((_, path, *options),) = lines
    assert Path(path).is_file()
    told = ["--account", "123456789012", "--environment", "shop", "--region", "us-east-1"]
    assert options == ["--now", *more, *told]
