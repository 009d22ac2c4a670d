"""The real CDK command line against the local AWS, as somebody at a terminal uses both.

One server for the module. What is deployed is packed once: all stages and environments run the same code, so further
assemblies only name it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from blueprint.environment import UNSET_ACCOUNT, load
from blueprint.stages import STAGES
from jobs.events import encode, happened
from tests.test_docs import commands
from workbench.facts.stateful import STATEFUL
from workbench.lab.servers import free_port
from workbench.sandbox.local import REGION, Local, Running
from workbench.synth import ROOT, synth
from workbench.templates import Assembly, StackTemplate, read_assembly

pytestmark = pytest.mark.slow

NUMBERS = [stage.number for stage in STAGES]
UP, DOWN = (1, 2, 3, 4, 5), (4, 3, 2)
CALL_SECONDS = 120
# What customers see in miniature: everything is protected, and what holds data stays.
PROTECTED = """
name = "evolve"
stage = 1
profile = "production"
region = "us-east-1"
zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
domain = "evolve.example.com"
hosted_zone_id = "{zone}"
alarm_email = "oncall@example.com"
budget_usd = 1000
[pins]
image = "ami-0123456789abcdef0"
edge_prefix_list = "pl-3b927c52"
"""


@dataclass
class Terminal:
    """Where somebody types, pointed at the local AWS."""

    running: Running
    folder: Path  # without cdk.json, so that only what is typed counts
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        return {**inherited, **self.running.variables, "CDK_DISABLE_VERSION_CHECK": "1", "NO_COLOR": "1"}

    def cdk(self, *words: str, assembly: Path | None = None, code: int = 0) -> str:
        """What the CDK's command line says, on both channels."""
        app = ["--app", str(assembly)] if assembly else []
        return self.run(ROOT / ".venv" / "bin" / "cdk", [*words, *app, "--no-notices"], code)

    def run(self, program: Path, words: Sequence[str], code: int) -> str:
        began, named = time.monotonic(), f"{program.name} {words[0]}"
        done = subprocess.run(
            [program, *words],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CALL_SECONDS,
            check=False,
        )
        self.seconds[named] = self.seconds.get(named, 0) + time.monotonic() - began
        assert done.returncode == code, f"{named} ended with {done.returncode}:\n{done.stdout[-4000:]}"
        return done.stdout

    def blueprint(self, *words: str, code: int = 0) -> str:
        return self.run(ROOT / ".venv" / "bin" / "blueprint", words, code)

    def deploy(self, assembly: Path, *stacks: str) -> str:
        return self.cdk("deploy", *(stacks or ("--all",)), "--require-approval", "never", assembly=assembly)

    def deploy_downwards(self, assembly: Path, after: Path) -> None:
        """Consumers before owners, one stack at a time: docs/moving-between-stages.md."""
        for stack in reversed(read_assembly(assembly).stacks):
            template = f"{stack.name}.template.json"
            if (assembly / template).read_bytes() != (after / template).read_bytes():
                self.deploy(assembly, stack.name, "--exclusively")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.running.url,
            aws_access_key_id=self.running.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key="local",
        )

    def all(self, service: str, operation: str, key: str, **members: Any) -> list[Any]:
        """Everything that an operation lists, over all of its pages."""
        client = self.client(service)
        if not client.can_paginate(operation):
            return list(getattr(client, operation)(**members)[key])
        return [found for page in client.get_paginator(operation).paginate(**members) for found in page[key]]

    def stacks(self) -> dict[str, Any]:
        """What is deployed, without the bootstrap stack."""
        found = self.all("cloudformation", "describe_stacks", "Stacks")
        return {stack["StackName"]: stack for stack in found if stack["StackName"] != "CDKToolkit"}

    def resources(self, stack: str) -> dict[str, Any]:
        """Logical id -> summary."""
        found = self.all("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
        return {resource["LogicalResourceId"]: resource for resource in found}

    def empty_buckets(self, prefix: str) -> None:
        s3 = self.client("s3")
        for bucket in (found["Name"] for found in s3.list_buckets()["Buckets"]):
            for each in s3.list_object_versions(Bucket=bucket).get("Versions", []) if bucket.startswith(prefix) else []:
                s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A local AWS, bootstrapped; ended whatever happens."""
    folder = tmp_path_factory.mktemp("terminal")
    with Local(tmp_path_factory.mktemp("sandbox")) as running:
        one = Terminal(running, folder)
        one.cdk("bootstrap", f"aws://{UNSET_ACCOUNT}/{REGION}")
        yield one
    print(f"\nseconds in the command line: { {name: round(spent) for name, spent in one.seconds.items()} }")


Assembled = Callable[..., Path]


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Assembled:
    """(environment, stage, name) -> an assembly that can be deployed."""
    folder = tmp_path_factory.mktemp("assemblies")
    packed = synth(load("sandbox", stage=str(max(NUMBERS))), folder / "packed")

    def of(environment: str, stage: int, name: str | None = None) -> Path:
        wanted = load(environment, stage=str(stage), name=name)
        outdir = folder / f"{wanted.name}-{stage}"
        if not outdir.exists():
            synth(wanted, outdir, bundle=False)
            for manifest in outdir.glob("*.assets.json"):
                for asset in json.loads(manifest.read_text(encoding="utf-8"))["files"].values():
                    file = outdir / asset["source"]["path"]
                    if not file.exists():
                        file.symlink_to(packed / file.name)
        return outdir

    return of


def used(assembly: Assembly) -> list[StackTemplate]:
    """The stacks that hold something at this stage."""
    return [stack for stack in assembly.stacks if stack.resources]


def check_deployed(terminal: Terminal, assembly: Path, prefix: str) -> None:
    """Exactly the stacks and resources of the templates are there."""
    wanted = {stack.name: set(stack.resources) for stack in used(read_assembly(assembly))}
    stacks = {name: stack for name, stack in terminal.stacks().items() if name.startswith(f"{prefix}-")}
    assert stacks.keys() == wanted.keys()
    assert {stack["StackStatus"] for stack in stacks.values()} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    assert {name: set(terminal.resources(name)) for name in stacks} == wanted


# What a service says of one resource, and under which name it says what a template calls otherwise.
Read = Callable[[Terminal, str], Mapping[str, Any]]


def only(found: list[Any]) -> Any:
    assert len(found) == 1
    return found[0]


def queue_attributes(terminal: Terminal, url: str) -> dict[str, Any]:
    found = terminal.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {**found, "RedrivePolicy": json.loads(found.get("RedrivePolicy", "{}"))}


def listed(service: str, operation: str, key: str, argument: str, *, several: bool = False) -> Read:
    """A resource as an operation describes it that takes its physical id, or a list of them."""

    def read(terminal: Terminal, physical_id: str) -> Mapping[str, Any]:
        found = getattr(terminal.client(service), operation)(**{argument: [physical_id] if several else physical_id})
        one: Mapping[str, Any] = only(found[key]) if isinstance(found[key], list) else found[key]
        return one

    return read


def alarms(terminal: Terminal, name: str) -> Any:
    return only(terminal.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"])


def log_group(terminal: Terminal, name: str) -> Any:
    found = terminal.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return only([group for group in found if group["logGroupName"] == name])


READ_BACK: dict[str, tuple[Read, dict[str, str]]] = {
    "AWS::RDS::DBInstance": (
        listed("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
        {
            "DBInstanceClass": "DBInstanceClass",
            "MultiAZ": "MultiAZ",
            "StorageEncrypted": "StorageEncrypted",
            "DeletionProtection": "DeletionProtection",
            "BackupRetentionPeriod": "BackupRetentionPeriod",
            "EngineVersion": "EngineVersion",
        },
    ),
    "AWS::AutoScaling::AutoScalingGroup": (
        listed(
            "autoscaling",
            "describe_auto_scaling_groups",
            "AutoScalingGroups",
            "AutoScalingGroupNames",
            several=True,
        ),
        {"MinSize": "MinSize", "MaxSize": "MaxSize", "HealthCheckType": "HealthCheckType"},
    ),
    "AWS::ElastiCache::ReplicationGroup": (
        listed("elasticache", "describe_replication_groups", "ReplicationGroups", "ReplicationGroupId"),
        {
            "TransitEncryptionEnabled": "TransitEncryptionEnabled",
            "AtRestEncryptionEnabled": "AtRestEncryptionEnabled",
            "CacheNodeType": "CacheNodeType",
        },
    ),
    "AWS::Lambda::Function": (
        listed("lambda", "get_function", "Configuration", "FunctionName"),
        {"Timeout": "Timeout", "MemorySize": "MemorySize", "Handler": "Handler", "Runtime": "Runtime"},
    ),
    "AWS::SQS::Queue": (
        queue_attributes,
        {"VisibilityTimeout": "VisibilityTimeout", "MessageRetentionPeriod": "MessageRetentionPeriod"},
    ),
    "AWS::EC2::Subnet": (
        listed("ec2", "describe_subnets", "Subnets", "SubnetIds", several=True),
        {"CidrBlock": "CidrBlock", "AvailabilityZone": "AvailabilityZone"},
    ),
    "AWS::EC2::Volume": (
        listed("ec2", "describe_volumes", "Volumes", "VolumeIds", several=True),
        {"Size": "Size", "Encrypted": "Encrypted", "VolumeType": "VolumeType"},
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (
        listed("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArns", several=True),
        {"Port": "Port", "Protocol": "Protocol", "HealthCheckPath": "HealthCheckPath"},
    ),
    "AWS::CloudWatch::Alarm": (
        alarms,
        {"Threshold": "Threshold", "EvaluationPeriods": "EvaluationPeriods", "MetricName": "MetricName"},
    ),
    "AWS::Logs::LogGroup": (log_group, {"RetentionInDays": "retentionInDays"}),
    "AWS::SSM::Parameter": (
        listed("ssm", "get_parameter", "Parameter", "Name"),
        {"Value": "Value", "Type": "Type"},
    ),
}


def same(template: Any, service: Any) -> bool:
    """Services answer with numbers and booleans where templates have text, or the other way round."""

    def plain(value: Any) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return f"{float(value):g}" if number else str(value).lower()

    if plain(template) == plain(service):
        return True
    try:
        return float(template) == float(service)
    except (TypeError, ValueError):
        return False


def read_back(terminal: Terminal, assembly: Path) -> tuple[set[tuple[str, str]], list[str]]:
    """What was compared of the table above, and what differs from the templates."""
    compared, different = set(), []
    for stack in used(read_assembly(assembly)):
        deployed = terminal.resources(stack.name)
        for logical_id, resource in stack.resources.items():
            reader, names = READ_BACK.get(resource["Type"], (None, {}))
            literal = {
                property: value
                for property, value in resource.get("Properties", {}).items()
                if property in names and isinstance(value, str | int | float)
            }
            if reader is None or not literal:
                continue
            found = reader(terminal, deployed[logical_id]["PhysicalResourceId"])
            for property, value in literal.items():
                compared.add((resource["Type"], property))
                if not same(value, found.get(names[property])):
                    different.append(f"{stack.name}/{logical_id} {property}: {value!r}, {found.get(names[property])!r}")
    return compared, different


def place_an_order(terminal: Terminal, name: str) -> None:
    """Told as the application tells it: the facts into the bucket, the event to the topic; a worker does the rest."""
    s3, values = terminal.client("s3"), terminal.client("ssm")
    bucket, topic = (
        values.get_parameter(Name=f"/{name}/{path}")["Parameter"]["Value"] for path in ("files/bucket", "events/topic")
    )
    event = happened("order.placed", order_id=4711)
    facts = {
        "order": {
            "id": "4711",
            "placed_at": event.at,
            "lines": [{"name": "Lamp", "quantity": 2, "price_cents": 1250}],
            "total_cents": 2500,
        },
        "customer": {"name": "Ada", "email": "ada@example.com"},
    }
    s3.put_object(Bucket=bucket, Key=event.document_key, Body=json.dumps(facts))
    terminal.client("sns").publish(TopicArn=topic, Message=encode(event))
    eventually(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="invoices/").get("Contents"))
    assert s3.get_object(Bucket=bucket, Key="invoices/4711.pdf")["Body"].read().startswith(b"%PDF")
    for found in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=found["Key"])


def eventually(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "did not happen within a minute"
        time.sleep(0.2)


INVENTORY: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "AWS::EC2::VPC": ("ec2", "describe_vpcs", "Vpcs", {}),
    "AWS::EC2::Subnet": ("ec2", "describe_subnets", "Subnets", {}),
    "AWS::EC2::SecurityGroup": ("ec2", "describe_security_groups", "SecurityGroups", {}),
    "AWS::EC2::Volume": ("ec2", "describe_volumes", "Volumes", {}),
    "AWS::EC2::EIP": ("ec2", "describe_addresses", "Addresses", {}),
    "AWS::EC2::LaunchTemplate": ("ec2", "describe_launch_templates", "LaunchTemplates", {}),
    "AWS::S3::Bucket": ("s3", "list_buckets", "Buckets", {}),
    "AWS::SQS::Queue": ("sqs", "list_queues", "QueueUrls", {}),
    "AWS::SNS::Topic": ("sns", "list_topics", "Topics", {}),
    "AWS::DynamoDB::Table": ("dynamodb", "list_tables", "TableNames", {}),
    "AWS::Lambda::Function": ("lambda", "list_functions", "Functions", {}),
    "AWS::IAM::Role": ("iam", "list_roles", "Roles", {}),
    "AWS::RDS::DBInstance": ("rds", "describe_db_instances", "DBInstances", {}),
    "AWS::RDS::DBSubnetGroup": ("rds", "describe_db_subnet_groups", "DBSubnetGroups", {}),
    "AWS::ElastiCache::ReplicationGroup": ("elasticache", "describe_replication_groups", "ReplicationGroups", {}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("elbv2", "describe_load_balancers", "LoadBalancers", {}),
    "AWS::AutoScaling::AutoScalingGroup": ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", {}),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", {}),
    "AWS::Logs::LogGroup": ("logs", "describe_log_groups", "logGroups", {}),
    "AWS::SecretsManager::Secret": ("secretsmanager", "list_secrets", "SecretList", {}),
    "AWS::CloudFront::Distribution": ("cloudfront", "list_distributions", "DistributionList", {}),
    "AWS::WAFv2::WebACL": ("wafv2", "list_web_acls", "WebACLs", {"Scope": "CLOUDFRONT"}),
    "AWS::Backup::BackupVault": ("backup", "list_backup_vaults", "BackupVaultList", {}),
    "AWS::Events::Rule": ("events", "list_rules", "Rules", {}),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose", "list_delivery_streams", "DeliveryStreamNames", {}),
}


COUNTED_APART = ("AWS::EC2::Instance", "AWS::KMS::Key", "AWS::SSM::Parameter")


def inventory(terminal: Terminal) -> dict[str, int]:
    """How many resources of each type the account holds, asked of the services themselves."""
    counts = {}
    for resource_type, (service, operation, key, members) in INVENTORY.items():
        answer = getattr(terminal.client(service), operation)(**members).get(key, [])
        pages = terminal.all(service, operation, key, **members) if isinstance(answer, list) and answer else answer
        counts[resource_type] = len(pages if isinstance(pages, list) else pages.get("Items", []))
    hosts = terminal.all("ec2", "describe_instances", "Reservations")
    instances = [instance for reservation in hosts for instance in reservation["Instances"]]
    counts["AWS::EC2::Instance"] = sum(instance["State"]["Name"] != "terminated" for instance in instances)
    parameters = terminal.all("ssm", "describe_parameters", "Parameters")
    kms = terminal.client("kms")
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in terminal.all("kms", "list_keys", "Keys")]
    ours = [key for key in keys if not key["Description"].startswith("Default master key")]  # the one of EBS
    counts["AWS::KMS::Key"] = sum(key["KeyState"] != "PendingDeletion" for key in ours)
    counts["AWS::SSM::Parameter"] = sum(not parameter["Name"].startswith("/aws/") for parameter in parameters)
    return {resource_type: count for resource_type, count in sorted(counts.items()) if count}


def test_five_stages_side_by_side_leave_nothing(terminal: Terminal, assembled: Assembled) -> None:
    before = inventory(terminal)
    sides = {f"side{stage}": assembled("sandbox", stage, f"side{stage}") for stage in NUMBERS}
    for assembly in sides.values():
        terminal.deploy(assembly)
    for name, assembly in sides.items():
        check_deployed(terminal, assembly, name)
    move_with_care(terminal)
    terminal.blueprint("destroy", "sandbox", "--name", "side2", "--yes")
    for name, assembly in sides.items():
        if f"{name}-data" in terminal.stacks():
            terminal.cdk("destroy", f"{name}-data", "--force", assembly=assembly)  # and whatever stands on it
            terminal.empty_buckets(name)  # access logs, up to this moment; `blueprint destroy` does that by itself
            terminal.client("cloudformation").delete_stack(StackName=f"{name}-network")
    eventually(lambda: not terminal.stacks())
    assert inventory(terminal) == before


def move_with_care(terminal: Terminal) -> None:
    """Two steps with `blueprint deploy`: 2 -> 3 only once the rows are said to be moved, 3 -> 4 in two passes."""
    step = [
        "deploy",
        "sandbox",
        "--name",
        "side2",
        "--stage",
        "3",
        "--yes",
        "--reason",
        "rows and files were moved first",
    ]
    assert "/side2/database/active says nothing" in terminal.blueprint(*step, code=1)
    values = {"/side2/database/active": "host", "/side2/files/active": "bucket"}
    for name, value in values.items():
        terminal.client("ssm").put_parameter(Name=name, Value=value, Type="String")
    assert "/side2/database/active says host" in terminal.blueprint(*step, code=1)
    terminal.client("ssm").put_parameter(Name="/side2/database/active", Value="managed", Overwrite=True)
    terminal.blueprint(*step)
    said = terminal.blueprint("deploy", "sandbox", "--name", "side3", "--stage", "4", "--yes")
    assert "Pass 1 of 2" in said
    assert "Pass 2 of 2" in said
    assert {"side2-web", "side3-edge"} <= terminal.stacks().keys()


def test_one_environment_goes_up_and_down_in_place(terminal: Terminal, assembled: Assembled, tmp_path: Path) -> None:
    file = tmp_path / "evolve.toml"
    zone = terminal.client("route53").create_hosted_zone(Name="evolve.example.com", CallerReference="evolve")
    zone_id = zone["HostedZone"]["Id"].rpartition("/")[2]
    file.write_text(PROTECTED.format(zone=zone_id), encoding="utf-8")
    at = {stage: assembled(str(file), stage) for stage in UP}
    before = inventory(terminal)
    journey = Journey(terminal)

    for stage in UP:
        terminal.deploy(at[stage])
        journey.arrive(at[stage])
    place_an_order(terminal, "evolve")
    for stage in DOWN:
        if stage == 2:
            unprotect_load_balancers(terminal)  # as docs/moving-between-stages.md has it
        terminal.deploy_downwards(at[stage], after=at[stage + 1])
        journey.arrive(at[stage])
    table = {(resource_type, property) for resource_type, (_, names) in READ_BACK.items() for property in names}
    assert journey.compared == table, "a row of the table that nothing was compared with"

    refused = terminal.cdk("destroy", "--all", "--force", assembly=at[DOWN[-1]], code=1)
    assert "while TerminationProtection is enabled" in refused
    unprotect_stacks(terminal)
    refused = terminal.cdk("destroy", "--all", "--force", assembly=at[DOWN[-1]], code=1)
    assert "Cannot delete protected DB Instance" in refused
    unprotect_databases(terminal)
    refused = terminal.cdk("destroy", "--all", "--force", assembly=at[DOWN[-1]], code=1)
    assert "has dependencies and cannot be deleted" in refused
    journey.terminate_hosts()  # which stayed, and so did the network below them
    terminal.cdk("destroy", "--all", "--force", assembly=at[DOWN[-1]])
    assert terminal.stacks() == {}
    more = Counter(inventory(terminal))
    more.subtract(before)
    assert {resource_type: count for resource_type, count in more.items() if count} == journey.retained
    assert terminal.all("rds", "describe_db_snapshots", "DBSnapshots"), "the database went without a last snapshot"


@dataclass
class Journey:
    """What was seen of one environment at one stage after the other."""

    terminal: Terminal
    ids: dict[str, str] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)
    compared: set[tuple[str, str]] = field(default_factory=set)

    def arrive(self, assembly: Path) -> None:
        """All that must hold after each move."""
        check_deployed(self.terminal, assembly, "evolve")
        # Of an empty stack, which is never deployed, the command line always says that it differs.
        deployed_stacks = [stack.name for stack in used(read_assembly(assembly))]
        self.terminal.cdk("diff", "--fail", "--exclusively", *deployed_stacks, assembly=assembly)
        before, self.ids = self.ids, {}
        for stack in used(read_assembly(assembly)):
            for logical_id, deployed in self.terminal.resources(stack.name).items():
                name, physical_id = f"{stack.name}/{logical_id}", deployed["PhysicalResourceId"]
                if deployed["ResourceType"] in STATEFUL:
                    self.ids[name] = physical_id
                    assert before.get(name, physical_id) == physical_id, f"{name} is another one now"
                if stack.resources[logical_id].get("DeletionPolicy", "Delete").startswith("Retain"):
                    self.keep[physical_id] = deployed["ResourceType"]
        compared, different = read_back(self.terminal, assembly)
        assert not different
        self.compared |= compared

    def terminate_hosts(self) -> None:
        ec2 = self.terminal.client("ec2")
        for host in [each for each, resource_type in self.keep.items() if resource_type == "AWS::EC2::Instance"]:
            ec2.modify_instance_attribute(InstanceId=host, DisableApiTermination={"Value": False})
            [[running]] = (found["Instances"] for found in ec2.describe_instances(InstanceIds=[host])["Reservations"])
            ec2.terminate_instances(InstanceIds=[host])
            for interface in running["NetworkInterfaces"]:  # which moto forgets
                ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
            del self.keep[host]

    @property
    def retained(self) -> dict[str, int]:
        """How many of each type the templates' policies leave, of those that can be counted."""
        return {
            resource_type: count
            for resource_type, count in Counter(self.keep.values()).items()
            if resource_type in {*INVENTORY, *COUNTED_APART}
        }


def unprotect_load_balancers(terminal: Terminal) -> None:
    balancers = terminal.client("elbv2")
    for each in balancers.describe_load_balancers()["LoadBalancers"]:
        balancers.modify_load_balancer_attributes(
            LoadBalancerArn=each["LoadBalancerArn"],
            Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}],
        )


def unprotect_stacks(terminal: Terminal) -> None:
    cloudformation = terminal.client("cloudformation")
    for name in terminal.stacks():
        cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=False)


def unprotect_databases(terminal: Terminal) -> None:
    rds = terminal.client("rds")
    for each in rds.describe_db_instances()["DBInstances"]:
        rds.modify_db_instance(DBInstanceIdentifier=each["DBInstanceIdentifier"], DeletionProtection=False)


TUTORIAL = ROOT / "docs" / "sandbox.md"


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """In one shell, as its reader has it; only the port and the folder are others, so that two may run at a time."""
    folder = tmp_path / "sandbox"
    lines = [line for block in commands(TUTORIAL.read_text(encoding="utf-8")) for line in block]
    assert len(lines) > 8
    script = "\n".join(lines)
    script = script.replace("blueprint sandbox up", f"blueprint sandbox up --port {free_port()}")
    script = re.sub(r"blueprint sandbox (\w+)", rf"blueprint sandbox \1 --folder {folder}", script)
    path = os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if ".venv" not in entry)
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env={**os.environ, "PATH": path, "CDK_DISABLE_VERSION_CHECK": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        left = Local(folder).down()
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert re.search(r"-AnalyticsJobFunction\S+ +1 +0", done.stdout), "a worker has worked once"
    assert "Destroyed: shop" in done.stdout
    assert left is None, "the tutorial ends what it started"
