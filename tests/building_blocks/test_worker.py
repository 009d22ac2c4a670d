"""A worker: takes batches from its queue, within limits, with exactly the rights that it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2

from blueprint.parts import Job
from building_blocks.queues import JobQueue
from building_blocks.topic import EventTopic
from building_blocks.worker import Worker
from tests.building_blocks.alone import CAREFUL, ForeignApp, Template, only, resources, synth_alone
from workbench.synth import ROOT

CODE = ROOT / "lambdas" / "invoice"
JOB = Job("invoice", ("order.placed",), timeout_seconds=60, memory_mib=512, concurrency=10)
BUCKET = "arn:aws:s3:::their-files"


def synth(job: Job = JOB, *, in_vpc: bool = False, code: Path = CODE) -> Template:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        topic = EventTopic(stack, "Events", key=theirs.key).topic
        queue = JobQueue(stack, "Work", spec=job, topic=topic, key=theirs.key, protection=CAREFUL, alerts=theirs.alerts)
        worker = Worker(
            stack,
            "Invoice",
            spec=job,
            queue=queue,
            code=code,
            environment={"SHOP_NAME": "trial"},
            key=theirs.key,
            protection=CAREFUL,
            alerts=theirs.alerts,
            vpc=theirs.vpc if in_vpc else None,
            subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED) if in_vpc else None,
            security_group=theirs.security_group if in_vpc else None,
        )
        worker.may(["s3:PutObject"], [f"{BUCKET}/invoices/*"])
        worker.may(["ses:SendEmail"], [])
        worker.configure("FILES", "their-files")

    return synth_alone(build)


@pytest.fixture(scope="module")
def template() -> Template:
    return synth()


def statements(template: Template) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = only(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    return found


def actions_on_everything(template: Template) -> set[str]:
    return {action for one in statements(template) if one["Resource"] == "*" for action in one["Action"]}


def test_the_function_runs_the_folders_handler_as_the_job_asks(template: Template) -> None:
    function = only(template, "AWS::Lambda::Function")
    assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["arm64"])
    assert (function["Handler"], function["Timeout"], function["MemorySize"]) == ("handler.handler", 60, 512)
    variables = function["Environment"]["Variables"]
    assert variables.pop("QUEUE_URL")["Ref"].startswith("WorkQueue")
    assert variables.pop("DEAD_LETTERS_URL")["Ref"].startswith("WorkDeadLetters")
    assert variables == {
        "SHOP_NAME": "trial",
        "FILES": "their-files",
        "POWERTOOLS_SERVICE_NAME": "invoice",
    }
    assert function["KmsKeyArn"]["Fn::GetAtt"][0].startswith("TheirKey")
    assert function["TracingConfig"] == {"Mode": "Active"}


def test_compiled_files_do_not_change_the_asset(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text((CODE / "handler.py").read_text(encoding="utf-8"), encoding="utf-8")
    before = only(synth(code=tmp_path), "AWS::Lambda::Function")["Code"]
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "handler.cpython-314.pyc").write_bytes(b"x")
    assert only(synth(code=tmp_path), "AWS::Lambda::Function")["Code"] == before


def test_only_the_failed_events_of_a_batch_come_again(template: Template) -> None:
    mapping = only(template, "AWS::Lambda::EventSourceMapping")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["EventSourceArn"]["Fn::GetAtt"][0].startswith("WorkQueue")
    assert mapping["BatchSize"] == 5


@pytest.mark.parametrize(("asked", "given"), [(10, 10), (2, 2), (1, 2)])
def test_pollers_and_function_have_the_same_limit(asked: int, given: int) -> None:
    template = synth(replace(JOB, concurrency=asked))
    assert only(template, "AWS::Lambda::EventSourceMapping")["ScalingConfig"] == {"MaximumConcurrency": given}
    assert only(template, "AWS::Lambda::Function")["ReservedConcurrentExecutions"] == given


def test_the_log_is_its_own_encrypted_and_ends(template: Template) -> None:
    group = only(template, "AWS::Logs::LogGroup")
    assert group["RetentionInDays"] == 365
    assert group["KmsKeyId"]["Fn::GetAtt"][0].startswith("TheirKey")
    logging = only(template, "AWS::Lambda::Function")["LoggingConfig"]
    assert logging["LogFormat"] == "JSON"
    assert logging["LogGroup"]["Ref"] in resources(template, "AWS::Logs::LogGroup")


def test_the_role_has_no_managed_policy_and_few_actions_without_a_resource(template: Template) -> None:
    assert "ManagedPolicyArns" not in only(template, "AWS::IAM::Role")
    assert actions_on_everything(template) == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    assert not [one for one in statements(template) if "*" in str(one["Action"])]


def test_a_right_is_given_by_a_sentence_and_none_where_there_is_no_resource(template: Template) -> None:
    by_action = {str(one["Action"]): one["Resource"] for one in statements(template)}
    assert by_action["s3:PutObject"] == f"{BUCKET}/invoices/*"
    assert not [action for action in by_action if "ses:" in action]


def test_a_job_may_put_an_event_back_and_set_it_aside(template: Template) -> None:
    [given] = [one for one in statements(template) if one["Action"] == "sqs:SendMessage" and len(one["Resource"]) == 2]
    own = {resource["Fn::GetAtt"][0].rstrip("0123456789ABCDEF") for resource in given["Resource"]}
    assert own == {"WorkQueue", "WorkDeadLetters"}
    taken = {action for one in statements(template) for action in one["Action"] if "sqs:" in action}
    assert {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"} <= taken


def test_events_handed_over_by_hand_are_set_aside_as_well(template: Template) -> None:
    target = only(template, "AWS::Lambda::Function")["DeadLetterConfig"]["TargetArn"]
    assert target["Fn::GetAtt"][0].startswith("WorkDeadLetters")


def test_a_job_without_a_database_stays_outside_the_vpc(template: Template) -> None:
    assert "VpcConfig" not in only(template, "AWS::Lambda::Function")


def test_a_job_with_a_database_runs_in_all_given_subnets_and_may_make_its_interfaces() -> None:
    template = synth(in_vpc=True)
    config = only(template, "AWS::Lambda::Function")["VpcConfig"]
    assert len(config["SubnetIds"]) == 3
    assert config["SecurityGroupIds"] == ["sg-0aaaaaaaaaaaaaaaa"]
    assert {"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"} <= actions_on_everything(template)


def test_somebody_is_told_when_the_job_crashes_or_is_held_back(template: Template) -> None:
    alarms = [
        one["Properties"]
        for logical_id, one in resources(template, "AWS::CloudWatch::Alarm").items()
        if logical_id.startswith("Invoice")
    ]
    assert {(one["MetricName"], one["Threshold"], one["EvaluationPeriods"]) for one in alarms} == {
        ("Errors", 1, 5),
        ("Throttles", 1, 15),
    }
