"""What the younger stacks promise: the edge, the background jobs, and what a person looks at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blueprint.environment import Environment
from blueprint.metrics import CUSTOM_METRICS
from blueprint.stages import ASYNCHRONOUS
from tests.stacks.reading import ROLES, Template, of_type, only, parameters, properties, statements, template, text
from workbench.synth import ROOT

Synth = Callable[[Environment], Path]
STAGES = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_there_are_no_workers_before_there_are_jobs(production: dict[int, Path], stage: int) -> None:
    assert not template(production[stage], "workers").get("Resources")


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_without_a_domain_there_is_no_edge_before_the_cdn(sandbox: dict[int, Path], stage: int) -> None:
    assert not template(sandbox[stage], "edge").get("Resources")


def test_the_domain_keeps_one_record_whose_target_changes(production: dict[int, Path]) -> None:
    records = [of_type(template(production[stage], "edge"), "AWS::Route53::RecordSet") for stage in STAGES]
    assert {tuple(record) for record in records} == {tuple(records[0])}
    (identity,) = {
        (found["Properties"]["Name"], found["Properties"]["Type"], found["Properties"]["HostedZoneId"])
        for record in records
        for found in record.values()
    }
    assert identity[:2] == ("shop.example.com.", "A")
    targets = [next(iter(record.values()))["Properties"]["AliasTarget"] for record in records]
    assert [target["DNSName"] for target in targets[:3]] == ["origin.shop.example.com."] * 3
    assert all(target["HostedZoneId"] == "Z2FDTNDATAQYW2" for target in targets[3:])


def test_the_name_of_the_hosts_changes_its_target_in_the_stack_that_has_the_hosts(production: dict[int, Path]) -> None:
    """So that nothing outside is in between when a fleet takes over from a host, or gives back."""
    targets = [template(production[stage], "web")["Resources"]["OriginRecord"]["Properties"] for stage in STAGES]
    assert {target["Name"] for target in targets} == {"origin.shop.example.com."}
    assert ["AliasTarget" in target for target in targets] == [False, False, True, True, True]


def test_a_home_outside_us_east_1_keeps_the_edges_certificate_and_firewall_there(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    zones = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
    assembly = synth(replace(load_production(4), region="eu-west-1", zones=zones))
    kept = template(assembly, "global")
    assert of_type(kept, "AWS::CertificateManager::Certificate")
    assert of_type(kept, "AWS::WAFv2::WebACL")
    edge = template(assembly, "edge")
    assert not of_type(edge, "AWS::CertificateManager::Certificate")
    assert '"Region": "us-east-1"' in text(properties(edge, "AWS::CloudFront::Distribution"))


def test_the_edge_sends_the_newest_key_to_its_origin(production: dict[int, Path]) -> None:
    config = properties(template(production[4], "edge"), "AWS::CloudFront::Distribution")["DistributionConfig"]
    (app,) = (origin for origin in config["Origins"] if "CustomOriginConfig" in origin)
    assert app["DomainName"] == "origin.shop.example.com"
    assert app["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    (header,) = app["OriginCustomHeaders"]
    assert header["HeaderName"] == "X-Origin-Verify"
    assert "resolve:secretsmanager" in text(header["HeaderValue"])


@pytest.fixture(scope="session")
def workers(production: dict[int, Path]) -> Template:
    return template(production[5], "workers")


def test_all_six_jobs_have_a_queue_a_dead_letter_queue_and_a_function(workers: Template) -> None:
    assert ASYNCHRONOUS.workers is not None
    assert len(ASYNCHRONOUS.workers.jobs) == 6
    assert len(of_type(workers, "AWS::Lambda::Function")) == 6
    redriven = [
        queue for queue in of_type(workers, "AWS::SQS::Queue").values() if "RedrivePolicy" in queue["Properties"]
    ]
    assert len(redriven) == 6


def test_every_job_has_a_folder_and_every_folder_of_a_function_a_job() -> None:
    assert ASYNCHRONOUS.workers is not None
    folders = {path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py")}
    assert folders == {*(job.name for job in ASYNCHRONOUS.workers.jobs), "rotate_master_secret", "teardown"}


def test_every_function_takes_batches_apart_and_is_bounded(workers: Template) -> None:
    mappings = of_type(workers, "AWS::Lambda::EventSourceMapping").values()
    assert len(mappings) == 6
    for mapping in mappings:
        assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert 2 <= mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"] <= 10


def test_one_topic_fans_out_raw_messages_by_their_type(workers: Template) -> None:
    subscriptions = of_type(workers, "AWS::SNS::Subscription").values()
    assert len(subscriptions) == 6
    (topic,) = {text(found["Properties"]["TopicArn"]) for found in subscriptions}
    assert json.loads(topic)["Ref"] in of_type(workers, "AWS::SNS::Topic")
    for found in subscriptions:
        assert found["Properties"]["RawMessageDelivery"] is True
        assert "type" in found["Properties"]["FilterPolicy"]


def test_only_the_job_that_reads_the_database_is_inside_the_network(workers: Template) -> None:
    inside = [
        name for name, found in of_type(workers, "AWS::Lambda::Function").items() if "VpcConfig" in found["Properties"]
    ]
    assert len(inside) == 1
    assert inside[0].startswith("SearchIndex")
    assert len(statements(workers, "rds-db:connect")) == 1


def test_the_hosts_may_publish_by_a_policy_that_the_web_stack_does_not_know(production: dict[int, Path]) -> None:
    workers, web = template(production[5], "workers"), template(production[5], "web")
    assert statements(workers, "sns:Publish")
    assert "shop-prod-workers" not in text(web)
    assert "/shop-prod/events/topic" in parameters(workers)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_one_dashboard_with_the_golden_signals(production: dict[int, Path], stage: int) -> None:
    body = text(properties(template(production[stage], "signals"), "AWS::CloudWatch::Dashboard")["DashboardBody"])
    assert not [signal for signal in ("Latency", "Traffic", "Errors", "Saturation") if signal not in body]


def test_the_budget_tells_before_it_is_spent(production: dict[int, Path]) -> None:
    budget = only(template(production[3], "network"), "AWS::Budgets::Budget")["Properties"]
    assert len(budget["NotificationsWithSubscribers"]) == 2


@pytest.mark.parametrize("stage", STAGES)
def test_every_stack_output_and_alarm_says_what_it_is(production: dict[int, Path], stage: int) -> None:
    alarms = 0
    for role in ROLES:
        read = template(production[stage], role)
        assert read["Description"]
        for name, output in read.get("Outputs", {}).items():
            assert output.get("Description"), f"{role}.{name}"
        for alarm in of_type(read, "AWS::CloudWatch::Alarm").values():
            alarms += 1
            assert len(alarm["Properties"]["AlarmDescription"]) > 20
            assert alarm["Properties"]["AlarmActions"]
    assert alarms >= 5


def _custom_metrics_read(assembly: Path) -> set[tuple[str, str]]:
    """(namespace, name) of every metric outside AWS's own namespaces in alarms and dashboards."""
    found = set()
    for role in ROLES:
        read = template(assembly, role)
        for alarm in of_type(read, "AWS::CloudWatch::Alarm").values():
            metrics = [
                alarm["Properties"],
                *(m["MetricStat"]["Metric"] for m in alarm["Properties"].get("Metrics", []) if "MetricStat" in m),
            ]
            found |= {(metric["Namespace"], metric["MetricName"]) for metric in metrics if "Namespace" in metric}
        for board in of_type(read, "AWS::CloudWatch::Dashboard").values():
            found |= _metrics_of_board(board["Properties"]["DashboardBody"])
    return {metric for metric in found if not metric[0].startswith("AWS/")}


def _metrics_of_board(body: object) -> set[tuple[str, str]]:
    pieces = body["Fn::Join"][1] if isinstance(body, dict) else [body]
    drawn = json.loads("".join(piece if isinstance(piece, str) else "token" for piece in pieces))
    return {
        (metric[0], metric[1])
        for widget in drawn["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], str)
    }


def test_alarms_and_dashboards_read_only_custom_metrics_from_the_one_list(production: dict[int, Path]) -> None:
    read = set().union(*(_custom_metrics_read(production[stage]) for stage in STAGES))
    assert read
    assert read == {(metric.namespace, metric.name) for metric in CUSTOM_METRICS}


def test_a_renamed_environment_shares_no_physical_name(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    """Two environments side by side in one account: everything that has a fixed name differs."""
    names = (
        "Name",
        "GroupName",
        "ParameterName",
        "UserId",
        "UserName",
        "UserGroupId",
        "BackupVaultName",
        "BackupPlanName",
        "LogGroupName",
        "BudgetName",
        "RoleName",
        "FunctionName",
        "QueueName",
        "TopicName",
        "BucketName",
        "TableName",
        "LaunchTemplateName",
        "SecretName",
        "DeliveryStreamName",
    )

    def physical(environment: Environment) -> set[tuple[str, str]]:
        found, assembly = set(), synth(environment)
        for role in ROLES:
            for resource in template(assembly, role).get("Resources", {}).values():
                for name in names:
                    value = resource.get("Properties", {}).get(name)
                    if isinstance(value, str):
                        found.add((resource["Type"], value))
        return found

    one = load_production(5)
    other = replace(one, name="trial", domain="trial.shop.example.com")
    first, second = physical(one), physical(other)
    assert len(first) == len(second) > 15
    assert {kind for kind, name in first & second} == set() or first & second <= {
        ("AWS::SSM::Association", "AWS-RunPatchBaseline")
    }


@pytest.mark.parametrize(("stage", "lookups"), [(4, 20), (5, 32)])
def test_a_dashboard_does_not_look_up_one_value_for_each_node(
    production: dict[int, Path], stage: int, lookups: int
) -> None:
    """CloudFormation looks up every mention of another stack's output, and allows few look-ups a second."""
    signals = text(template(production[stage], "signals"))
    assert signals.count("Fn::GetStackOutput") <= lookups
    for name in ("CacheHits", "CacheMisses", "DatabaseMemoryUsagePercentage"):
        assert signals.count(f'{{AWS/ElastiCache,CacheClusterId}} MetricName=\\\\\\"{name}\\\\\\"') == 1


@pytest.mark.parametrize(("open_to", "closed"), [(("203.0.113.0/24",), True), (("0.0.0.0/0",), False)])
def test_a_site_for_few_stays_so_behind_the_edge(
    load_production: Callable[[int], Environment], synth: Synth, open_to: tuple[str, ...], closed: bool
) -> None:
    edge = template(synth(replace(load_production(4), open_to=open_to)), "edge")
    assert ("OnlyVisitors" in text(properties(edge, "AWS::WAFv2::WebACL"))) is closed
    assert [found["Properties"]["Addresses"] for found in of_type(edge, "AWS::WAFv2::IPSet").values()] == (
        [list(open_to)] if closed else []
    )


def test_the_edge_says_where_static_files_belong(production: dict[int, Path]) -> None:
    assert "/shop-prod/static/bucket" in parameters(template(production[4], "edge"))


LEDGER = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
JOB_RIGHTS = {
    "ConfirmationEmail": {"ses:SendEmail", "s3:GetObject", "s3:ListBucket", *LEDGER},
    "Invoice": {"s3:GetObject", "s3:ListBucket", "s3:PutObject"},
    "ImageResize": {"s3:GetObject", "s3:ListBucket", "s3:PutObject"},
    "Analytics": {"firehose:PutRecord"},
    "SearchIndex": {"rds-db:connect", "ssm:GetParameter", "ssm:GetParametersByPath"},
    "Notification": {"sns:Publish", "s3:GetObject", "s3:ListBucket", *LEDGER},
}
JOB_VARIABLES = {
    "ConfirmationEmail": {"FILES_BUCKET", "MAIL_FROM", "MAIL_RULES", "STATE_TABLE"},
    "Invoice": {"FILES_BUCKET"},
    "ImageResize": {"FILES_BUCKET"},
    "Analytics": {"STREAM"},
    "SearchIndex": {"DATABASE_PARAMETERS"},
    "Notification": {"FILES_BUCKET", "STATE_TABLE"},
}


@pytest.mark.parametrize("job", JOB_RIGHTS)
def test_each_job_may_do_its_own_work_and_no_others(workers: Template, job: str) -> None:
    (policy,) = (found for name, found in of_type(workers, "AWS::IAM::Policy").items() if name.startswith(f"{job}Job"))
    allowed = set()
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        actions = statement["Action"]
        allowed |= {actions} if isinstance(actions, str) else set(actions)
    work = {action for action in allowed if action.partition(":")[0] not in ("logs", "kms", "sqs", "xray", "ec2")}
    assert work == JOB_RIGHTS[job]


@pytest.mark.parametrize("job", JOB_VARIABLES)
def test_each_job_is_told_what_it_needs(workers: Template, job: str) -> None:
    (function,) = (
        found for name, found in of_type(workers, "AWS::Lambda::Function").items() if name.startswith(f"{job}Job")
    )
    everybody = {"SHOP_NAME", "QUEUE_URL", "DEAD_LETTERS_URL", "POWERTOOLS_SERVICE_NAME"}
    assert set(function["Properties"]["Environment"]["Variables"]) == everybody | JOB_VARIABLES[job]


@pytest.mark.parametrize(("job", "folder"), [("Invoice", "events"), ("ImageResize", "images")])
def test_a_job_reads_only_its_own_part_of_the_files(workers: Template, job: str, folder: str) -> None:
    (policy,) = (found for name, found in of_type(workers, "AWS::IAM::Policy").items() if name.startswith(f"{job}Job"))
    read = [
        text(statement["Resource"])
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "s3:GetObject"
    ]
    assert len(read) == 1
    assert f"/{folder}/*" in read[0]


@pytest.mark.parametrize("stage", STAGES)
def test_somebody_may_send_mail_at_every_stage(production: dict[int, Path], stage: int) -> None:
    """Inline on the hosts, by workers at stage 5; on the way there hosts still send, on the way back already."""
    web = template(production[stage], "web")
    assert parameters(web)["/shop-prod/mail/from"] == "shop@shop.example.com"
    (rules,) = of_type(web, "AWS::SES::ConfigurationSet")
    assert parameters(web)["/shop-prod/mail/rules"] == {"Ref": rules}
    (sending,) = statements(web, "ses:SendEmail")
    assert "identity/shop.example.com" in text(sending["Resource"])
    assert "configuration-set/" in text(sending["Resource"])


def test_what_became_of_a_mail_reaches_the_job_that_sends_it(workers: Template, production: dict[int, Path]) -> None:
    outcomes = properties(template(production[5], "web"), "AWS::SES::ConfigurationSetEventDestination")
    told = outcomes["EventDestination"]
    assert set(told["MatchingEventTypes"]) == {"send", "delivery", "bounce", "complaint", "reject"}
    assert "event-bus/default" in text(told["EventBridgeDestination"])
    rule = properties(workers, "AWS::Events::Rule")
    assert rule["EventPattern"]["source"] == ["aws.ses"]
    (rules_name,) = rule["EventPattern"]["detail"]["mail"]["tags"]["ses:configuration-set"]
    assert "MailRulesName" in text(rules_name)
    (target,) = rule["Targets"]
    queue = of_type(workers, "AWS::SQS::Queue")[target["Arn"]["Fn::GetAtt"][0]]["Properties"]
    assert target["Arn"]["Fn::GetAtt"][0].startswith("ConfirmationEmailQueue")
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == target["DeadLetterConfig"]["Arn"]


def test_an_environment_without_a_sender_keeps_its_mail_to_itself(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    nobody = replace(load_production(5), domain=None, hosted_zone_id=None, alarm_email=None)
    assembly = synth(nobody)
    web = template(assembly, "web")
    assert not of_type(web, "AWS::SES::ConfigurationSet")
    assert not [path for path in parameters(web) if "/mail/" in path]
    assert not statements(web, "ses:SendEmail")
    assert not of_type(template(assembly, "workers"), "AWS::Events::Rule")


@pytest.mark.parametrize(("stage", "hops"), [(1, None), (2, None), (3, "1"), (4, "2"), (5, "2")])
def test_hosts_know_how_many_proxies_are_ours(production: dict[int, Path], stage: int, hops: str | None) -> None:
    assert parameters(template(production[stage], "web")).get("/shop-prod/front/hops") == hops


@pytest.mark.parametrize(("stage", "scheme"), [(3, None), (4, "https"), (5, "https")])
def test_behind_a_locked_origin_hosts_know_that_visitors_speak_https(
    production: dict[int, Path], stage: int, scheme: str | None
) -> None:
    """The load balancer only knows what the edge speaks to it."""
    assert parameters(template(production[stage], "web")).get("/shop-prod/front/scheme") == scheme
