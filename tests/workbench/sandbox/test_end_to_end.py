"""The real CDK command line and `blueprint` against the local AWS, as somebody at a terminal uses them.

One server for the module, and another one for the tutorial, which runs beside. What is deployed is packed once: all
stages and environments run the same code, so further assemblies only name it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from blueprint.environment import UNSET_ACCOUNT, load
from blueprint.stages import STAGES
from shop import seed
from tests.shop.shapes import opened
from tests.test_docs import commands
from tests.workbench.sandbox import read_back
from workbench.deploy.pins import NEWEST
from workbench.facts.stateful import STATEFUL
from workbench.lab.servers import free_port
from workbench.sandbox.local import REGION, Local, Running
from workbench.synth import ROOT, synth
from workbench.templates import StackTemplate, read_assembly

pytestmark = pytest.mark.slow

NUMBERS = [stage.number for stage in STAGES]
CALL_SECONDS, TUTORIAL_SECONDS = 240, 300
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
image = "{image}"
edge_prefix_list = "{edge_prefix_list}"
"""


def run(words: Sequence[str | Path], folder: Path, variables: Mapping[str, str], seconds: float) -> tuple[int, str]:
    """The exit code and what was said on both channels; in time, or it ends with all that it has started."""
    with subprocess.Popen(
        words,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said


@dataclass
class Terminal:
    """Where somebody types, pointed at the local AWS."""

    running: Running
    folder: Path  # without cdk.json, so that only what is typed counts
    sandbox: Path
    seconds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.client = cache(self._client)

    @property
    def variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        quiet = {"CDK_DISABLE_VERSION_CHECK": "1", "NO_COLOR": "1"}
        return {**inherited, **self.running.variables, **quiet, "NODE_COMPILE_CACHE": str(self.folder / "node")}

    def cdk(self, *words: str, assembly: Path | None = None, code: int = 0) -> str:
        app = ["--app", str(assembly)] if assembly else []
        return self._type("cdk", [*words, *app, "--no-notices"], code)

    def blueprint(self, *words: str, code: int = 0) -> str:
        return self._type("blueprint", words, code)

    def _type(self, program: str, words: Sequence[str], code: int) -> str:
        began, named = time.monotonic(), f"{program} {words[0]}"
        ended, said = run([ROOT / ".venv" / "bin" / program, *words], self.folder, self.variables, CALL_SECONDS)
        self.seconds[named] += round(time.monotonic() - began)
        assert ended == code, f"{named} ended with {ended}:\n{said[-4000:]}"
        return said

    def deploy(self, assembly: Path) -> str:
        return self.cdk("deploy", "--all", "--concurrency", "6", "--require-approval", "never", assembly=assembly)

    def _client(self, service: str) -> Any:
        given = self.running.variables
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.running.url,
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
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

    def parameter(self, name: str) -> str:
        return str(self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

    def set(self, **parameters: str) -> None:
        """What hosts and people write of an environment in place; no stack owns it."""
        for name, value in parameters.items():
            path = f"/evolve/{name.replace('_', '/')}"
            self.client("ssm").put_parameter(Name=path, Value=value, Type="String", Overwrite=True)

    def delete(self, stack: str) -> None:
        """As the console deletes a stack, of an environment that keeps nothing."""
        for bucket in self.resources(stack).values():
            if bucket["ResourceType"] == "AWS::S3::Bucket":
                self.empty(bucket["PhysicalResourceId"])
        cloudformation = self.client("cloudformation")
        cloudformation.delete_stack(StackName=stack)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})

    def empty(self, bucket: str) -> None:
        s3 = self.client("s3")
        for each in s3.list_object_versions(Bucket=bucket).get("Versions", []):
            s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A local AWS, bootstrapped; ended whatever happens."""
    folder, sandbox = (tmp_path_factory.mktemp(name) for name in ("terminal", "sandbox"))
    with Local(sandbox) as running:
        one = Terminal(running, folder, sandbox)
        one.cdk("bootstrap", f"aws://{UNSET_ACCOUNT}/{REGION}")
        yield one
    print(f"\nseconds in the command line: {dict(one.seconds)}")


Assembled = Callable[..., Path]


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Assembled:
    """(environment, stage, name) -> an assembly that can be deployed."""
    folder = tmp_path_factory.mktemp("assemblies")
    packed = synth(load("sandbox", stage=str(max(NUMBERS))), folder / "packed")

    def of(environment: str, stage: int, name: str | None = None) -> Path:
        wanted = load(environment, stage=str(stage), name=name)
        outdir = synth(wanted, folder / f"{wanted.name}-{stage}", bundle=False)
        for manifest in outdir.glob("*.assets.json"):
            for asset in json.loads(manifest.read_text(encoding="utf-8"))["files"].values():
                file = outdir / asset["source"]["path"]
                if not file.exists():
                    file.symlink_to(packed / file.name)
        return outdir

    return of


def used(assembly: Path) -> list[StackTemplate]:
    """The stacks that hold something at this stage."""
    return [stack for stack in read_assembly(assembly).stacks if stack.resources]


def check_deployed(terminal: Terminal, assembly: Path, prefix: str) -> list[read_back.Stack]:
    """Exactly the stacks and resources of the templates are there."""
    wanted = used(assembly)
    stacks = {name: stack for name, stack in terminal.stacks().items() if name.startswith(f"{prefix}-")}
    assert stacks.keys() == {stack.name for stack in wanted}
    assert {stack["StackStatus"] for stack in stacks.values()} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    there = []
    for stack in wanted:
        ids = {name: found["PhysicalResourceId"] for name, found in terminal.resources(stack.name).items()}
        assert ids.keys() == stack.resources.keys()
        there.append(read_back.Stack(stack.name, stacks[stack.name]["StackId"], stack.template, ids))
    return there


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


TUTORIAL = ROOT / "docs" / "sandbox.md"


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[tuple[int, str]]]:
    """Its commands in one shell, as its reader has it, while other tests go on. Only the port and the folders are
    others."""
    folder = tmp_path_factory.mktemp("tutorial")
    lines = [line for block in commands(TUTORIAL.read_text(encoding="utf-8")) for line in block]
    assert len(lines) > 8
    script = "\n".join(lines)
    script = script.replace("blueprint sandbox up", f"blueprint sandbox up --port {free_port()}")
    script = re.sub(r"blueprint sandbox (\w+)", rf"blueprint sandbox \1 --folder {folder / 'sandbox'}", script)
    path = os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if ".venv" not in entry)
    variables = {**os.environ, "PATH": path, "CDK_DISABLE_VERSION_CHECK": "1", "CDK_OUTPUT": str(folder / "cdk.out")}
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(run, ["bash", "-euo", "pipefail", "-c", script], ROOT, variables, TUTORIAL_SECONDS)
    assert Local(folder / "sandbox").down() is None, "the tutorial ends what it started"


def test_five_stages_side_by_side_leave_nothing(
    terminal: Terminal, assembled: Assembled, database_url: str, tmp_path: Path
) -> None:
    before = inventory(terminal)
    sides = {f"side{stage}": assembled("sandbox", stage, f"side{stage}") for stage in NUMBERS}
    *others, last = sides
    terminal.deploy(sides[last])  # brings what all of them run
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(terminal.deploy, [sides[name] for name in others]))
    for name, assembly in sides.items():
        assert read_back.differences(check_deployed(terminal, assembly, name), terminal.client) == []
    buy_from_a_real_shop(terminal, last, database_url, tmp_path / "shop")
    terminal.blueprint("destroy", "sandbox", "--name", last, "--yes")
    for name in others:
        for stack in reversed(used(sides[name])):
            terminal.delete(stack.name)
    assert terminal.stacks() == {}
    assert inventory(terminal) == before


def buy_from_a_real_shop(terminal: Terminal, name: str, database_url: str, folder: Path) -> None:
    """A host on this machine, which hands its work over as the deployed ones would: deployed workers do it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        seed.fill(connection, 20)
    variables = {
        **terminal.running.variables,
        "DATABASE_URL": database_url,
        "FILES_BUCKET": terminal.parameter(f"/{name}/files/bucket"),
        "EVENTS_TOPIC": terminal.parameter(f"/{name}/events/topic"),
    }
    with opened(variables, folder, hosts=1, relay=True) as [url]:
        said = terminal.blueprint("smoke", "sandbox", "--name", name, "--url", url)
    assert re.search("^ok +invoice", said, re.MULTILINE), said
    said = terminal.blueprint("sandbox", "status", "--folder", str(terminal.sandbox))
    assert re.search(rf"{name}-\S+InvoiceJobFunction\S+ +1 +0", said), said


def of_this_account(terminal: Terminal) -> dict[str, str]:
    """What somebody has to make or look up before production is deployed; a local AWS makes up its ids."""
    zone = terminal.client("route53").create_hosted_zone(Name="evolve.example.com", CallerReference="evolve")
    lists = terminal.all("ec2", "describe_managed_prefix_lists", "PrefixLists")
    return {
        "zone": zone["HostedZone"]["Id"].rpartition("/")[2],
        "image": terminal.parameter(NEWEST),
        "edge_prefix_list": next(each["PrefixListId"] for each in lists if "origin-facing" in each["PrefixListName"]),
    }


REASON = "rows and files were moved first, and looked at twice"


@pytest.mark.usefixtures("tutorial")
def test_one_environment_goes_up_and_down_in_place(terminal: Terminal, assembled: Assembled, tmp_path: Path) -> None:
    file = tmp_path / "evolve.toml"
    file.write_text(PROTECTED.format(**of_this_account(terminal)), encoding="utf-8")
    at = {stage: assembled(str(file), stage) for stage in NUMBERS}
    before = inventory(terminal)
    journey = Journey(terminal)

    def deploy(stage: int, *words: str, code: int = 0) -> str:
        options = ["--stage", str(stage), "--yes", "--reason", REASON]
        said = terminal.blueprint("deploy", str(file), *options, *words, code=code)
        if not code:
            journey.arrive(at[stage])
        return said

    for stage in (1, 2):
        terminal.deploy(at[stage])
        journey.arrive(at[stage])
    terminal.set(database_active="host")
    assert "/evolve/database/active says host" in deploy(3, code=1)
    terminal.set(database_active="managed", files_active="bucket")
    deploy(3)
    assert "Pass 2 of 2" in deploy(4)
    terminal.deploy(at[5])
    journey.arrive(at[5])
    refused = deploy(4, code=1)
    assert "hosts still hand work over" in refused
    assert "say so with --drained" in refused
    terminal.client("ssm").delete_parameter(Name="/evolve/events/topic")
    deploy(4, "--drained")
    assert "Pass 2 of 2" in deploy(3)
    unprotect_load_balancers(terminal)  # as docs/moving-between-stages.md has it
    deploy(2)

    refused = terminal.cdk("destroy", "--all", "--force", assembly=at[2], code=1)
    assert "while TerminationProtection is enabled" in refused
    unprotect_stacks(terminal)
    refused = terminal.cdk("destroy", "--all", "--force", assembly=at[2], code=1)
    assert "Cannot delete protected DB Instance" in refused
    unprotect_databases(terminal)
    refused = terminal.cdk("destroy", "--all", "--force", assembly=at[2], code=1)
    assert "has dependencies and cannot be deleted" in refused
    journey.terminate_hosts()  # which stayed, and so did the network below them
    terminal.blueprint("destroy", str(file), "--yes")
    assert terminal.stacks() == {}
    more = Counter(inventory(terminal))
    more.subtract(before)
    record = Counter({"AWS::SSM::Parameter": 1})  # who moved it last, and why
    assert {resource_type: count for resource_type, count in more.items() if count} == journey.retained + record
    assert terminal.all("rds", "describe_db_snapshots", "DBSnapshots"), "the database went without a last snapshot"


@dataclass
class Journey:
    """What was seen of one environment at one stage after the other."""

    terminal: Terminal
    ids: dict[str, str] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)

    def arrive(self, assembly: Path) -> None:
        """All that must hold after each move."""
        there = check_deployed(self.terminal, assembly, "evolve")
        assert read_back.differences(there, self.terminal.client) == []
        # Of an empty stack, which is never deployed, the command line always says that it differs.
        self.terminal.cdk("diff", "--fail", "--exclusively", *(stack.name for stack in there), assembly=assembly)
        before, self.ids = self.ids, {}
        for stack in there:
            for logical_id, body in stack.template["Resources"].items():
                name, physical_id = f"{stack.name}/{logical_id}", stack.physical_ids[logical_id]
                if body["Type"] in STATEFUL:
                    self.ids[name] = physical_id
                    assert before.get(name, physical_id) == physical_id, f"{name} is another one now"
                if body.get("DeletionPolicy", "Delete").startswith("Retain"):
                    self.keep[physical_id] = body["Type"]

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
    def retained(self) -> Counter[str]:
        """How many of each type the templates' policies leave, of those that can be counted."""
        return Counter(kind for kind in self.keep.values() if kind in {*INVENTORY, *COUNTED_APART})


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


def test_the_tutorial_works_as_it_is_written(tutorial: Future[tuple[int, str]]) -> None:
    code, said = tutorial.result()
    assert code == 0, said[-6000:]
    assert re.search(r"-AnalyticsJobFunction\S+ +1 +0", said), "a worker has worked once"
    assert "Destroyed: shop" in said
