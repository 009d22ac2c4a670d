"""What refuses to go with an environment, and the command that destroys it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from blueprint.environment import Environment, load
from blueprint.profiles import PROFILES
from tests.conftest import Assemblies
from tests.workbench.deploy.memory import NOTHING, Memory, Recorder
from workbench.cli import main
from workbench.deploy.leftovers import FLEET_TAG, SHIELDS, Kept, protected
from workbench.deploy.live import Aws, deployed
from workbench.report.deploy import gone
from workbench.templates import read_assembly

HOST, TABLE, DATABASE = "AWS::EC2::Instance", "AWS::DynamoDB::Table", "AWS::RDS::DBInstance"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"

# --- What refuses to go -----------------------------------------------------------------------------------------------

Physical = dict[str, str]


def run_host(aws: Aws, name: str = "shop", **tags: str) -> str:
    """The id of a new instance that carries the tag of an environment."""
    carried = [{"Key": key, "Value": value} for key, value in {"shop:environment": name, **tags}.items()]
    tagged = {"ResourceType": "instance", "Tags": carried}
    made = aws.client("ec2").run_instances(ImageId="ami-0", MinCount=1, MaxCount=1, TagSpecifications=[tagged])
    return str(made["Instances"][0]["InstanceId"])


@pytest.fixture
def services(aws: Aws) -> Physical:
    """Type -> physical id of one thing of each type that its service protects, as production makes them."""
    zone, ec2 = "us-east-1", aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{zone}{letter}")["Subnet"]
        for number, letter in enumerate("ab")
    ]
    host = run_host(aws, "shop-prod")
    ec2.modify_instance_attribute(InstanceId=host, DisableApiTermination={"Value": True})
    aws.client("rds").create_db_instance(
        DBInstanceIdentifier="primary",
        DBInstanceClass="db.t4g.medium",
        Engine="postgres",
        DeletionProtection=True,
        AllocatedStorage=20,
    )
    elbv2 = aws.client("elbv2")
    made = elbv2.create_load_balancer(Name="front", Subnets=[one["SubnetId"] for one in subnets])
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    on = {"Key": "deletion_protection.enabled", "Value": "true"}
    elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[on])
    aws.client("dynamodb").create_table(
        TableName="ledger",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
    )
    return {HOST: host, DATABASE: "primary", BALANCER: arn, TABLE: "ledger"}


def give_ids(memory: Memory, ids: Physical, monkeypatch: pytest.MonkeyPatch) -> None:
    """Physical ids of real things, by type, for an account in memory; all else has none, and copies are not real."""

    def found(stack: str, _: str) -> Physical:
        told = memory.stacks[stack].template["Resources"].items()
        copies = {name for name, body in told if "SourceDBInstanceIdentifier" in body.get("Properties", {})}
        return {name: ids[body["Type"]] for name, body in told if body["Type"] in ids and name not in copies}

    monkeypatch.setattr(memory, "physical_ids", found)


def run(command: str, aws: Aws, memory: Memory) -> None:
    """An `aws` command as its command line reads it, by the names and types in the service's model."""
    _, service, operation, *words = command.split()
    given: dict[str, str | None] = {}
    for word in words:
        if word.startswith("--"):
            given[option := word] = None
        else:
            given[option] = word
    client = aws.client(service, given.pop("--region"))
    if operation == "update-termination-protection":  # moto has none
        assert set(given) == {"--stack-name", "--no-enable-termination-protection"}
        name = str(given["--stack-name"])
        memory.stacks[name] = replace(memory.stacks[name], protected=False)
        return
    method = operation.replace("-", "_")
    members = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape.members
    asked: dict[str, object] = {}
    for member, shape in members.items():
        option = f"--{xform_name(member, '-')}"
        off = f"--no-{option[2:]}" in given
        if not off and option not in given:
            continue
        value = given.pop(f"--no-{option[2:]}" if off else option)
        if shape.type_name == "boolean":
            asked[member] = not off
        elif shape.type_name == "structure":  # EC2 wraps some booleans
            asked[member] = {"Value": not off}
        elif shape.type_name == "list":
            pairs = "=" in str(value)
            asked[member] = [dict(pair.split("=") for pair in str(value).split(",")) if pairs else value]
        else:
            asked[member] = value
    assert not given, f"unknown options: {given}"
    getattr(client, method)(**asked)


@pytest.mark.parametrize(
    ("profile", "stage", "refusing"),
    [
        ("production", 1, [HOST, HOST]),
        ("production", 2, [DATABASE, HOST, HOST]),
        ("production", 3, [DATABASE, BALANCER, HOST, HOST]),  # a host that its template has left
        ("production", 5, [DATABASE, BALANCER, HOST, HOST]),  # its table stays
        ("sandbox", 2, [DATABASE, HOST]),  # protected by hand
        ("sandbox", 5, [DATABASE, BALANCER, TABLE]),
    ],
)
def test_what_refuses_to_go_goes_once_the_printed_commands_were_run(
    assemblies: Assemblies,
    aws: Aws,
    services: Physical,
    monkeypatch: pytest.MonkeyPatch,
    profile: str,
    stage: int,
    refusing: list[str],
) -> None:
    wanted = read_assembly(assemblies(profile)[stage])
    memory = Memory.of(assemblies(profile)[stage])
    give_ids(memory, services, monkeypatch)
    found = list(protected(load(profile).name, deployed(wanted, memory), memory, aws))
    stacks = [stack.name for stack in wanted.stacks if stack.resources and stack.termination_protection]
    assert [one.partition(" ")[0] for one in found if "--stack-name" in one] == stacks
    assert [kind for one in found for kind, name in services.items() if one.endswith(f" {name}")] == refusing
    for left, one in zip(reversed(range(len(found))), found, strict=True):
        run(one[one.index("aws ") :], aws, memory)
        assert len(list(protected(load(profile).name, deployed(wanted, memory), memory, aws))) == left


def test_what_stays_or_is_gone_already_is_not_asked_about(
    production: dict[int, Path], aws: Aws, services: Physical, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {DATABASE: "somebody-deleted-it", BALANCER: services[BALANCER][:-1]}
    memory = Memory.of(production[5])
    give_ids(memory, {TABLE: services[TABLE], **gone}, monkeypatch)
    found = list(protected("shop", deployed(read_assembly(production[5]), memory), memory, aws))
    assert all("update-termination-protection" in one for one in found)


def test_a_host_that_goes_with_its_stack_holds_nothing(
    sandbox: dict[int, Path], aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory.of(sandbox[1])
    give_ids(memory, {HOST: run_host(aws)}, monkeypatch)
    assert list(protected("shop", deployed(read_assembly(sandbox[1]), memory), memory, aws)) == []


def test_a_service_that_does_not_say_whether_it_protects_is_no_good_news(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, "DescribeTable")

    dynamodb = aws.client("dynamodb")
    monkeypatch.setattr(dynamodb, "describe_table", denied)
    with pytest.raises(ClientError, match="AccessDenied"):
        SHIELDS[TABLE].is_up(dynamodb, "ledger")


def test_hosts_of_a_fleet_of_another_environment_or_that_are_gone_hold_no_network(aws: Aws) -> None:
    run_host(aws, "shopping")
    aws.client("ec2").terminate_instances(InstanceIds=[run_host(aws)])
    run_host(aws, **{FLEET_TAG: "shop-web-fleet"})
    assert list(protected("shop", NOTHING, Memory(), aws)) == []
    stays = run_host(aws)
    aws.client("ec2").stop_instances(InstanceIds=[stays])
    (told,) = protected("shop", NOTHING, Memory(), aws)
    assert told.endswith(f"aws ec2 terminate-instances --region us-east-1 --instance-ids {stays}")


# --- As a person runs it ----------------------------------------------------------------------------------------------


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The environments that are emptied, by name, and whether they have no end."""
    found: list[tuple[str, bool]] = []

    def sweep(environment: Environment, *, endless: bool) -> None:
        found.append((environment.name, endless))

    monkeypatch.setattr("workbench.deploy.leftovers.sweep", sweep)
    return found


def test_a_destroyed_sandbox_leaves_nothing_and_says_what_it_removed(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    swept: list[tuple[str, bool]],
    capsys: pytest.CaptureFixture[str],
    aws: Aws,
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[1]))
    aws.client("ssm").put_parameter(Name="/shop/database/active", Value="host", Type="String")
    assert main(["destroy", "sandbox", "--dry-run"]) == 0
    assert "  - /shop/database/active\n" in capsys.readouterr().out
    assert main(["destroy", "sandbox", "--yes"]) == 0
    assert swept == [("shop", False)]
    assert [call[1] for call in run.calls] == ["shop-signals", "shop-web", "shop-data", "shop-network"]
    assert all(call[0] == "destroy" and {"--exclusively", "--force"} <= set(call) for call in run.calls)
    said = capsys.readouterr().out
    assert "Destroyed: shop in account 000000000000, us-east-1\n  parameter  /shop/database/active: deleted\n" in said


def test_a_sandbox_without_an_end_is_destroyed_too(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    swept: list[tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PROFILES, "sandbox", replace(PROFILES["sandbox"], time_to_live_days=None))
    account[0].deploy(read_assembly(sandbox[1]))
    assert main(["destroy", "sandbox", "--yes"]) == 0
    assert swept == [("shop", True)]
    assert not account[0].stacks


def test_what_still_carries_the_tag_is_listed(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    swept: list[tuple[str, bool]],
    capsys: pytest.CaptureFixture[str],
    aws: Aws,
) -> None:
    account[0].deploy(read_assembly(sandbox[1]))
    aws.client("sns").create_topic(Name="left", Tags=[{"Key": "shop:environment", "Value": "shop"}])
    assert main(["destroy", "sandbox", "--yes"]) == 0
    assert swept
    assert "arn:aws:sns:us-east-1:000000000000:left" in capsys.readouterr().out


def test_what_is_left_is_told_apart_by_whether_it_is_paid_for() -> None:
    volume = Kept("shop-data", "Data/Volume", "AWS::EC2::Volume", "vol-1", "stays")
    volumes = [f"arn:aws:ec2:us-east-1:000000000000:volume/vol-{number}" for number in (1, 2)]
    lines = gone(load("sandbox"), [volume], ["/shop/a"], volumes).splitlines()
    assert [line.partition(": ")[0].strip(" :") for line in lines[2:-1]] == [
        "parameter  /shop/a",
        "Kept, and paid for until somebody deletes it",
        "stays      AWS::EC2::Volume vol-1 (Data/Volume)",
        "Listed by AWS for about an hour, or a key waiting for its end",
    ]
    assert lines[-1].endswith(volumes[1])
    assert "nothing to do" in lines[-2]


@pytest.mark.parametrize("more", [["--dry-run"], []])
def test_a_dry_run_and_nobody_there_destroy_nothing(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    swept: list[tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[1]))
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["destroy", "sandbox", *more]) == (0 if more else 1)
    assert not swept
    assert not run.calls


def test_production_is_destroyed_once_the_printed_commands_were_run(
    account: tuple[Memory, Recorder],
    production: dict[int, Path],
    services: Physical,
    swept: list[tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    aws: Aws,
) -> None:
    memory, cdk = account
    memory.deploy(read_assembly(production[3]))
    give_ids(memory, services, monkeypatch)
    monkeypatch.setattr("builtins.input", lambda _: "shop-prod")
    assert main(["destroy", "production"]) == 1
    said = capsys.readouterr()
    assert "Stays, because its template says so:" in said.out
    assert not cdk.calls
    commands = [line[line.index("aws ") :] for line in said.err.splitlines() if "aws " in line]
    assert len(commands) == 8
    for command in commands:
        run(command, aws, memory)
    assert main(["destroy", "production"]) == 0
    assert [call[1].removeprefix("shop-prod-") for call in cdk.calls] == ["signals", "edge", "web", "data", "network"]
    assert not swept


@pytest.mark.parametrize("more", [["--dry-run"], ["--yes"], []])
def test_where_no_stack_is_there_nothing_is_asked_or_deleted(
    account: tuple[Memory, Recorder],
    swept: list[tuple[str, bool]],
    capsys: pytest.CaptureFixture[str],
    aws: Aws,
    more: list[str],
) -> None:
    aws.client("ssm").put_parameter(Name="/payments/stripe/key", Value="x", Type="SecureString")
    aws.client("sns").create_topic(Name="left", Tags=[{"Key": "shop:environment", "Value": "payments"}])
    assert main(["destroy", "sandbox", "--name", "payments", *more]) == 0
    said = capsys.readouterr().out
    assert "Nothing was deleted: payments in account 000000000000, us-east-1 has no stack" in said
    assert "/payments/stripe/key: stays" in said
    assert "arn:aws:sns:us-east-1:000000000000:left" in said
    assert not swept
    assert not account[1].calls
    assert aws.client("ssm").get_parameter(Name="/payments/stripe/key")


@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_a_strangers_stack_with_a_name_of_ours_stops_everything(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    swept: list[tuple[str, bool]],
    capsys: pytest.CaptureFixture[str],
    profile: str,
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[1]))
    memory.stacks["shop-signals"] = replace(memory.stacks["shop-signals"], tags={"team": "another"})
    assert main(["destroy", profile, "--name", "shop", "--yes"]) == 1
    assert "shop-signals" in capsys.readouterr().err
    assert not swept
    assert not run.calls


@pytest.mark.parametrize(
    "left", [["shop-prod-network", "shop-prod-web", "shop-prod-signals"], ["shop-prod-signals"]], ids=["much", "little"]
)
@pytest.mark.parametrize(("typed", "status"), [("shop-prod", 0), ("y", 1)])
def test_production_goes_only_when_its_name_is_typed(
    account: tuple[Memory, Recorder],
    production: dict[int, Path],
    swept: list[tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    left: list[str],
    typed: str,
    status: int,
) -> None:
    memory, _ = account
    memory.deploy(read_assembly(production[1]))
    memory.stacks = {name: replace(stack, protected=False) for name, stack in memory.stacks.items() if name in left}
    monkeypatch.setattr("builtins.input", lambda _: typed)
    assert main(["destroy", "production"]) == status
    assert bool(memory.stacks) is (status == 1)
    assert not swept


@pytest.mark.parametrize(("typed", "status"), [("shop-prod", 0), ("y", 1)])
def test_stacks_that_keep_data_are_never_swept_whatever_a_file_says_of_them(
    account: tuple[Memory, Recorder],
    production: dict[int, Path],
    swept: list[tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    status: int,
) -> None:
    memory, _ = account
    memory.deploy(read_assembly(production[3]))
    memory.stacks = {name: replace(stack, protected=False) for name, stack in memory.stacks.items()}
    monkeypatch.setattr("builtins.input", lambda _: typed)
    assert main(["destroy", "sandbox", "--name", "shop-prod"]) == status
    assert bool(memory.stacks) is (status == 1)
    assert not swept
