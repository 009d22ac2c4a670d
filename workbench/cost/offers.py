"""Where each item of the price list stands in AWS's own one: service, attributes, and how much one of ours is.

How one asks: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html. Usage
types, families and groups are those of the list of 2026. What has no entry here is left as it is, and said so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.cost.prices import GLOBAL, Price

# Regions put themselves before a usage type, as EUW1- or, in one service, as eu-west-1-.
_PREFIX = r"(?:[A-Z]{2,4}\d?-|[a-z]{2}(?:-[a-z]+)+-\d-)?"
EDGES = {"US edge": "United States", "EU edge": "Europe"}


@dataclass(frozen=True)
class Offer:
    """How to ask for one item, and how to know it among the answers."""

    code: str
    usage_type: str = ""  # without the region's prefix; empty: the fields are enough
    fields: Mapping[str, str] = field(default_factory=dict)
    units: float = 1  # of AWS's, in one of ours

    def matches(self, usage_type: str) -> bool:
        return not self.usage_type or re.fullmatch(_PREFIX + self.usage_type, usage_type) is not None


def _family(name: str) -> dict[str, str]:
    return {"productFamily": name}


_DISK = _family("Storage")
_DATABASE = {"databaseEngine": "Any"}

OFFERS: dict[tuple[str, str], Offer] = {
    ("AWS Backup", "S3 backup"): Offer("AWSBackup", "WarmStorage-ByteHrs-S3"),
    ("CloudFront", "HTTPS requests"): Offer("AmazonCloudFront", "Requests-HTTPS-Proxy"),
    ("CloudFront", "out to the internet"): Offer("AmazonCloudFront", "", {"transferType": "CloudFront Outbound"}),
    ("CloudWatch", "EC2 detailed monitoring (7 metrics)"): Offer("AmazonCloudWatch", "CW:MetricMonitorUsage", units=7),
    ("CloudWatch", "custom metric first 10k"): Offer("AmazonCloudWatch", "CW:MetricMonitorUsage"),
    ("CloudWatch", "dashboard"): Offer("AmazonCloudWatch", "DashboardsUsageHour"),
    ("CloudWatch", "high-resolution alarm"): Offer("AmazonCloudWatch", "CW:HighResAlarmMonitorUsage"),
    ("CloudWatch", "logs ingestion"): Offer("AmazonCloudWatch", "DataProcessing-Bytes"),
    ("CloudWatch", "logs storage"): Offer("AmazonCloudWatch", "TimedStorage-ByteHrs"),
    ("CloudWatch", "standard-resolution alarm"): Offer("AmazonCloudWatch", "CW:AlarmMonitorUsage"),
    ("Data transfer", "between zones, each way"): Offer("AWSDataTransfer", "", {"transferType": "IntraRegion"}),
    ("Data transfer", "out to the internet"): Offer("AWSDataTransfer", "", {"transferType": "AWS Outbound"}),
    ("DynamoDB", "PITR backup"): Offer("AmazonDynamoDB", "TimedPITRStorage-ByteHrs"),
    ("DynamoDB", "on-demand backup"): Offer("AmazonDynamoDB", "TimedBackupStorage-ByteHrs"),
    ("DynamoDB", "on-demand read request units"): Offer("AmazonDynamoDB", "ReadRequestUnits"),
    ("DynamoDB", "on-demand write request units"): Offer("AmazonDynamoDB", "WriteRequestUnits"),
    ("DynamoDB", "provisioned RCU"): Offer("AmazonDynamoDB", "ReadCapacityUnit-Hrs"),
    ("DynamoDB", "provisioned WCU"): Offer("AmazonDynamoDB", "WriteCapacityUnit-Hrs"),
    ("DynamoDB", "storage"): Offer("AmazonDynamoDB", "TimedStorage-ByteHrs"),
    ("EBS", "gp2 storage"): Offer("AmazonEC2", "EBS:VolumeUsage.gp2", _DISK),
    ("EBS", "gp3 storage"): Offer("AmazonEC2", "EBS:VolumeUsage.gp3", _DISK),
    ("EBS", "gp3 provisioned IOPS above 3000"): Offer("AmazonEC2", "EBS:VolumeP-IOPS.gp3", _family("System Operation")),
    # AWS counts GiB/s, we count MiB/s.
    ("EBS", "gp3 provisioned throughput above 125 MiB/s"): Offer(
        "AmazonEC2", "EBS:VolumeP-Throughput.gp3", _family("Provisioned Throughput"), units=1 / 1024
    ),
    ("EBS", "io2/io1 provisioned IOPS (first tier)"): Offer(
        "AmazonEC2", r"EBS:VolumeP-IOPS\.(?:piops|io2)", _family("System Operation")
    ),
    ("EBS", "io2/io1 storage"): Offer("AmazonEC2", r"EBS:VolumeUsage\.(?:piops|io2)", _DISK),
    ("EBS", "snapshot storage"): Offer("AmazonEC2", "EBS:SnapshotUsage", _family("Storage Snapshot")),
    ("ELB", "ALB LCU"): Offer("AWSELB", "LCUUsage", _family("Load Balancer-Application")),
    ("ELB", "Application Load Balancer"): Offer("AWSELB", "LoadBalancerUsage", _family("Load Balancer-Application")),
    ("ELB", "Classic Load Balancer"): Offer("AWSELB", "LoadBalancerUsage", _family("Load Balancer")),
    ("ELB", "NLB NLCU"): Offer("AWSELB", "LCUUsage", _family("Load Balancer-Network")),
    ("ELB", "Network Load Balancer"): Offer("AWSELB", "LoadBalancerUsage", _family("Load Balancer-Network")),
    ("Firehose", "data taken in"): Offer("AmazonKinesisFirehose", "BilledBytes"),
    ("KMS", "customer managed key"): Offer("awskms", "KMS-Keys"),
    ("KMS", "requests"): Offer("awskms", "KMS-Requests"),
    ("Kinesis", "PUT payload units"): Offer("AmazonKinesis", "(?:PutRequest)?PayloadUnits"),
    ("Kinesis", "on-demand data in"): Offer("AmazonKinesis", "OnDemand-BilledIncomingBytes"),
    ("Kinesis", "on-demand stream"): Offer("AmazonKinesis", "OnDemand-StreamHour"),
    ("Kinesis", "provisioned shard"): Offer("AmazonKinesis", "(?:Storage-)?ShardHour"),
    ("Lambda", "duration arm64"): Offer("AWSLambda", "Lambda-GB-Second-ARM", {"group": "AWS-Lambda-Duration-ARM"}),
    ("Lambda", "duration x86_64"): Offer("AWSLambda", "Lambda-GB-Second", {"group": "AWS-Lambda-Duration"}),
    ("Lambda", "requests"): Offer("AWSLambda", "", {"group": "AWS-Lambda-Requests"}),
    ("RDS PostgreSQL", "backups beyond the free size"): Offer("AmazonRDS", "RDS:ChargedBackupUsage", _DATABASE),
    ("RDS PostgreSQL", "gp2 storage Multi-AZ"): Offer("AmazonRDS", "RDS:Multi-AZ-GP2-Storage", _DATABASE),
    ("RDS PostgreSQL", "gp2 storage Single-AZ"): Offer("AmazonRDS", "RDS:GP2-Storage", _DATABASE),
    ("RDS PostgreSQL", "gp3 provisioned IOPS above baseline Multi-AZ"): Offer(
        "AmazonRDS", "RDS:Multi-AZ-GP3-PIOPS", _DATABASE
    ),
    ("RDS PostgreSQL", "gp3 provisioned IOPS above baseline Single-AZ"): Offer("AmazonRDS", "RDS:GP3-PIOPS", _DATABASE),
    ("RDS PostgreSQL", "gp3 storage Multi-AZ"): Offer("AmazonRDS", "RDS:Multi-AZ-GP3-Storage", _DATABASE),
    ("RDS PostgreSQL", "gp3 storage Single-AZ"): Offer("AmazonRDS", "RDS:GP3-Storage", _DATABASE),
    ("RDS PostgreSQL", "io1 IOPS Single-AZ"): Offer("AmazonRDS", "RDS:PIOPS", _DATABASE),
    ("RDS PostgreSQL", "io1 storage Single-AZ"): Offer("AmazonRDS", "RDS:PIOPS-Storage", _DATABASE),
    ("Route 53", "hosted zone"): Offer("AmazonRoute53", "HostedZone"),
    ("Route 53", "queries"): Offer("AmazonRoute53", "DNS-Queries", {"routingType": "Standard"}),
    ("S3", "GET/SELECT requests (Standard)"): Offer("AmazonS3", "Requests-Tier2"),
    ("S3", "PUT/COPY/POST/LIST requests (Standard)"): Offer("AmazonS3", "Requests-Tier1"),
    ("S3", "Standard storage"): Offer("AmazonS3", "TimedStorage-ByteHrs"),
    ("SES", "mail, a la carte"): Offer("AmazonSES", "Recipients"),
    ("SNS", "requests"): Offer("AmazonSNS", "Requests-Tier1"),
    ("SQS", "FIFO requests"): Offer("AWSQueueService", "", {"queueType": "FIFO (first-in, first-out)"}),
    ("SQS", "requests"): Offer("AWSQueueService", "", {"queueType": "Standard"}),
    ("Secrets Manager", "API requests"): Offer("AWSSecretsManager", "AWSSecretsManagerAPIRequest"),
    ("Secrets Manager", "secret"): Offer("AWSSecretsManager", "AWSSecretsManager-Secrets"),
    ("Systems Manager", "advanced parameter"): Offer("AWSSystemsManager", "PS-Advanced-Param-Tier1"),
    ("VPC", "Interface endpoint (per AZ)"): Offer("AmazonVPC", "VpcEndpoint-Hours"),
    ("VPC", "Interface endpoint data"): Offer("AmazonVPC", "VpcEndpoint-Bytes"),
    ("VPC", "NAT gateway"): Offer("AmazonEC2", "NatGateway-Hours"),
    ("VPC", "NAT gateway data"): Offer("AmazonEC2", "NatGateway-Bytes"),
    ("VPC", "Public IPv4 address (in use or idle)"): Offer("AmazonVPC", "PublicIPv4:InUseAddress"),
    ("WAF", "requests"): Offer("awswaf", "RequestV2-Tier[01]"),
    ("WAF", "rule / rule group / managed rule group"): Offer("awswaf", "RuleV2"),
    ("WAF", "web ACL"): Offer("awswaf", "WebACLV2"),
}


def offer(price: Price) -> Offer | None:
    """Where a price is found; None for what AWS's list does not tell in this form."""
    size = price.item.partition(" ")[0]
    found: Offer | None
    if price.service == "EC2":
        fields = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
        found = Offer("AmazonEC2", "", {"instanceType": size, **fields})
    elif price.item.startswith("db."):
        copies = "Multi-AZ" if "Multi-AZ" in price.item else "Single-AZ"
        engine = price.service.removeprefix("RDS ")
        fields = {"databaseEngine": engine, "deploymentOption": copies}
        found = Offer("AmazonRDS", "", {"instanceType": size, **fields})
    elif price.item.startswith("cache."):
        engine = "Valkey" if "Valkey" in price.item else "Redis"
        found = Offer(
            "AmazonElastiCache", re.escape(f"NodeUsage:{size}"), {"instanceType": size, "cacheEngine": engine}
        )
    else:
        found = OFFERS.get((price.service, price.item))
    return found


def filters(price: Price, wanted: Offer) -> tuple[tuple[str, str], ...]:
    """The attributes to ask for, the place among them."""
    fields = dict(wanted.fields)
    if price.region in EDGES:
        fields["fromLocation" if wanted.fields else "location"] = EDGES[price.region]
    elif wanted.code == "AWSDataTransfer":
        fields["fromRegionCode"] = price.region
        if fields["transferType"] == "AWS Outbound":
            fields["toLocation"] = "External"
    elif price.region != GLOBAL:
        fields["regionCode"] = price.region
    return tuple(sorted(fields.items()))
