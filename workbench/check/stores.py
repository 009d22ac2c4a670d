"""Rules about stores: born as they must be for life, kept when a template lets go, named by CloudFormation."""

from __future__ import annotations

from collections.abc import Iterator

from blueprint.parts import Stage
from workbench.check.hosts import KEPT
from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates.reading import Resource, System, dig, number, spelled, yes

CURRENT_ENGINES = ("17", "18")
# What somebody would miss. The data volume has a rule of its own.
KEEPERS = (
    "AWS::DynamoDB::Table",
    "AWS::EC2::Volume",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::KMS::Key",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
)
PHYSICAL_NAMES = {
    "AWS::AutoScaling::AutoScalingGroup": "AutoScalingGroupName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
    "AWS::ElastiCache::ReplicationGroup": "ReplicationGroupId",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Name",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::KinesisFirehose::DeliveryStream": "DeliveryStreamName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::DBParameterGroup": "DBParameterGroupName",
    "AWS::RDS::DBSubnetGroup": "DBSubnetGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Document": "Name",
    "AWS::SecretsManager::Secret": "Name",
}
# A firewall writes only to a group whose name begins so.
FIREWALL_LOGS = "aws-waf-logs-"
# Named because AWS demands it (or the address plan does): they must carry the environment's name.
DEMANDED_NAMES = {
    "AWS::Backup::BackupVault": "BackupVaultName",
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::ElastiCache::User": "UserId",
    "AWS::ElastiCache::UserGroup": "UserGroupId",
    "AWS::SSM::Parameter": "Name",
}


def has_database(stage: Stage) -> bool:
    return stage.database is not None


def has_replicas(stage: Stage) -> bool:
    return stage.database is not None and stage.database.read_replicas > 0


def has_cache(stage: Stage) -> bool:
    return stage.cache is not None


def is_replica(instance: Resource) -> bool:
    return "SourceDBInstanceIdentifier" in instance.properties


@rule(
    "TR05",
    "The database is born right",
    why="Encryption, subnets and master user are fixed at creation; the defaults are unencrypted and unprotected.",
    fix="gp3, Graviton, a current engine, isolated subnets in two zones or more, backups, protection, from the start.",
    source="seen with the L2 construct's defaults; AWS FSBP RDS.2-RDS.13",
    expected=has_database,
)
def database(system: System, wanted: Wanted) -> Verdicts:
    for instance in system.of_type("AWS::RDS::DBInstance"):
        yield instance, None
        for problem in _instance_problems(system, instance):
            yield instance, problem
        if not is_replica(instance):
            for problem in _primary_problems(instance, wanted):
                yield instance, problem


def _instance_problems(system: System, instance: Resource) -> Iterator[str]:
    if instance.get("StorageType") != "gp3":
        yield "does not use gp3"
    if "g." not in str(instance.get("DBInstanceClass")):
        yield f"is not Graviton: {instance.get('DBInstanceClass')}"
    if not yes(instance.get("EnableIAMDatabaseAuthentication")):
        yield "knows no IAM tokens"
    group = system.target(instance.get("DBSubnetGroupName"), "AWS::RDS::DBSubnetGroup")
    subnets = system.targets(group.get("SubnetIds")) if group else []
    if len({str(subnet.get("AvailabilityZone")) for subnet in subnets}) < 2:
        yield "is in fewer than two zones"


def _primary_problems(instance: Resource, wanted: Wanted) -> Iterator[str]:
    protection = wanted.protection
    if str(instance.get("EngineVersion")).partition(".")[0] not in CURRENT_ENGINES:
        yield f"has an old engine: {instance.get('EngineVersion')}"
    if number(instance.get("BackupRetentionPeriod")) < protection.backup_days:
        yield f"can go back less than {protection.backup_days} days"
    if protection.deletion_protection and not yes(instance.get("DeletionProtection")):
        yield "can be deleted by one click"
    if wanted.stage.database is not None and yes(instance.get("MultiAZ")) != wanted.stage.database.multi_az:
        yield "has a standby, or none, other than its stage says"


@rule(
    "TR06",
    "The master password is our own",
    why="RDS refuses read replicas for an instance whose password it manages, and only says so at deployment.",
    fix="A generated secret of our own with rotation; IAM tokens for the application.",
    source="AWS RDS, password management with Secrets Manager: limitations",
    expected=has_database,
)
def master_password(system: System, _: Wanted) -> Verdicts:
    for instance in system.of_type("AWS::RDS::DBInstance"):
        managed = yes(instance.get("ManageMasterUserPassword"))
        yield instance, "lets RDS manage its password" if managed else None


@rule(
    "TR09",
    "The cache is born in its final shape",
    why="Port, encryption, key and subnets are create-only, and going to cluster mode later is a new cluster.",
    fix="Cluster mode, as many shards as the stage says, a replica each, TLS, users without passwords.",
    source="CloudFormation AWS::ElastiCache::ReplicationGroup, update requires replacement",
    expected=has_cache,
)
def cache(system: System, wanted: Wanted) -> Verdicts:
    for group in system.of_type("AWS::ElastiCache::ReplicationGroup"):
        yield group, None
        for problem in _cache_problems(group, wanted):
            yield group, problem
    for user in system.of_type("AWS::ElastiCache::User"):
        iam = dig(user.get("AuthenticationMode"), "Type") == "iam" and not user.get("Passwords")
        yield user, None if iam and not yes(user.get("NoPasswordRequired")) else "logs in without an IAM token"
        same = user.get("UserId") == user.get("UserName")
        yield user, None if same else "has an id other than its name, which IAM logins refuse"


def _cache_problems(group: Resource, wanted: Wanted) -> Iterator[str]:
    spec = wanted.stage.cache
    shards, replicas = number(group.get("NumNodeGroups")), number(group.get("ReplicasPerNodeGroup"))
    if spec is not None and (shards, replicas) != (spec.shards, spec.replicas_per_shard):
        yield f"has {shards} x (1 + {replicas}) nodes, its stage says {spec.shards} x (1 + {spec.replicas_per_shard})"
    if group.get("Engine") != "valkey":
        yield f"runs {group.get('Engine')}, which costs a quarter more than valkey"
    if group.get("ClusterMode") != "enabled":
        yield "is not in cluster mode"
    if not yes(group.get("AutomaticFailoverEnabled")):
        yield "does not fail over"
    if replicas > 0 and not yes(group.get("MultiAZEnabled")):
        yield "keeps a shard's copies in one zone"
    if not group.get("UserGroupIds") or "AuthToken" in group.properties:
        yield "does not know its users"
    if not number(group.get("SnapshotRetentionLimit")):
        yield "has no backup"
    if not group.get("CacheSubnetGroupName"):
        yield "takes AWS's default subnets"
    if not yes(dig(group.body, "UpdatePolicy.UseOnlineResharding")):
        yield "is replaced when its shards change"


@rule(
    "TR14",
    "CloudFormation makes the names",
    why="A kept bucket or table with a fixed name blocks the next deployment, and two environments collide.",
    fix="Leave the name out; where AWS demands one, begin it with the environment's name.",
    source="AWS CloudFormation, name type; seen with LaunchTemplateName",
)
def physical_names(system: System, _: Wanted) -> Verdicts:
    for resource in system.resources:
        environment = resource.stack.name.removesuffix(f"-{resource.stack.role}")
        if resource.type in PHYSICAL_NAMES:
            name = resource.get(PHYSICAL_NAMES[resource.type])
            if resource.type == "AWS::Logs::LogGroup" and str(name).startswith(FIREWALL_LOGS):
                yield resource, None if environment in str(name) else f"is called {name} in every environment"
            else:
                yield resource, None if name is None else f"has the fixed name {name}"
        elif resource.type in DEMANDED_NAMES:
            name = spelled(resource.get(DEMANDED_NAMES[resource.type]))
            carried = name.removeprefix("/").startswith((f"{environment}-", f"{environment}/"))
            yield resource, None if carried else f"is called {name}, which does not begin with {environment}"


@rule(
    "TR15",
    "What is let go is kept, copies are not",
    why="The default for queues and tables is Delete: going down a stage would lose messages and rows.",
    fix="Retain or Snapshot on both policies; read replicas Delete and without protection.",
    source="AWS CloudFormation DeletionPolicy",
)
def kept(system: System, wanted: Wanted) -> Verdicts:
    for resource in system.of_type(*KEEPERS):
        if is_replica(resource):
            protected = yes(resource.get("DeletionProtection")) or resource.body.get("DeletionPolicy") != "Delete"
            yield resource, "is a copy that cannot be let go" if protected else None
            continue
        yield resource, None if resource.body.get("UpdateReplacePolicy") in KEPT else "is lost when it is replaced"
        if wanted.protection.keep_data:
            safe = resource.body.get("DeletionPolicy") in (*KEPT, "RetainExceptOnCreate")
            yield resource, None if safe else "is lost when its template no longer has it"


@rule(
    "TR05-replicas",
    "Read replicas follow their primary",
    why="A replica with settings of its own for storage or master user is refused, or drifts.",
    fix="Take encryption, user and name from the primary; as many replicas as the stage says.",
    source="AWS CloudFormation AWS::RDS::DBInstance, SourceDBInstanceIdentifier; cfn-lint E3020",
    expected=has_replicas,
)
def replicas(system: System, wanted: Wanted) -> Verdicts:
    copies = [instance for instance in system.of_type("AWS::RDS::DBInstance") if is_replica(instance)]
    spec = wanted.stage.database
    for copy in copies:
        own = [name for name in ("StorageEncrypted", "MasterUsername", "DBName") if name in copy.properties]
        yield copy, f"sets {', '.join(own)}, which its primary decides" if own else None
        source = system.target(copy.get("SourceDBInstanceIdentifier"), "AWS::RDS::DBInstance")
        yield copy, None if source is not None else "copies a database that is not ours"
        if spec is not None and len(copies) != spec.read_replicas:
            yield copy, f"is one of {len(copies)}, its stage says {spec.read_replicas}"


RULES = (database, master_password, replicas, cache, physical_names, kept)
