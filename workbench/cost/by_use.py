"""Which rule says what a workload adds to the bill of a resource, by its type.

Each puts figures on what the workload tells, and names the rest without one.
"""

from __future__ import annotations

from collections.abc import Callable

from workbench.cost import use_events, use_requests, use_stores
from workbench.cost.part import Left, Said
from workbench.cost.traffic import Traffic
from workbench.templates.reading import Resource

Rule = Callable[[Traffic, Resource], Said]


def _left(what: str) -> Rule:
    return lambda _, __: iter([Left(what)])


BY_USE: dict[str, Rule] = {
    "AWS::AutoScaling::AutoScalingGroup": use_requests.group,
    "AWS::Backup::BackupVault": use_stores.vault,
    "AWS::CloudFront::Distribution": use_requests.distribution,
    "AWS::DynamoDB::Table": use_stores.table,
    "AWS::EC2::Instance": use_requests.instance,
    "AWS::EC2::NatGateway": use_requests.gateway,
    "AWS::EC2::VPCEndpoint": use_requests.endpoint,
    "AWS::ElasticLoadBalancing::LoadBalancer": _left("traffic through it"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": use_requests.balancer,
    "AWS::KMS::Key": use_events.key,
    "AWS::Kinesis::Stream": _left("records put into it"),
    "AWS::KinesisFirehose::DeliveryStream": use_events.delivery,
    "AWS::Lambda::Function": use_events.function,
    "AWS::Logs::LogGroup": use_events.logs,
    "AWS::RDS::DBInstance": use_stores.database,
    "AWS::Route53::RecordSet": use_requests.record,
    "AWS::S3::Bucket": use_stores.bucket,
    "AWS::SES::EmailIdentity": use_events.mail,
    "AWS::SNS::Topic": use_events.topic,
    "AWS::SQS::Queue": use_events.queue,
    "AWS::SecretsManager::Secret": _left("reading it"),
    "AWS::WAFv2::WebACL": use_requests.firewall,
}
