"""S3, DynamoDB and ECR. Moto enforces bucket policies without reading their conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import call, changed, inside, refuse_change, remove, tag, text, without
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted
from workbench.sandbox.kinds.row import Tagging


class Bucket:
    """AWS::S3::Bucket: a bucket, and one call for each of its settings."""

    forgets: Mapping[str, str] = {
        "LifecycleConfiguration.Rules.ObjectSizeGreaterThan": "moto's rules know no sizes",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = wanted.properties
        name = str(properties.get("BucketName") or wanted.name(63, lower=True))
        members: dict[str, Any] = {"Bucket": name}
        if aws.region != "us-east-1":
            members["CreateBucketConfiguration"] = {"LocationConstraint": aws.region}
        if properties.get("AccessControl", "Private") != "Private":  # which every bucket is, unless it says otherwise
            raise Refused("The local AWS knows no other AccessControl of a bucket than Private")
        if "OwnershipControls" in properties:
            members["ObjectOwnership"] = properties["OwnershipControls"]["Rules"][0]["ObjectOwnership"]
        call(aws, "s3", "create_bucket", **members)
        settings = without(properties, "BucketName", "AccessControl")
        return self._set(aws, name, settings, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        for setting in sorted(before.properties.keys() - after.properties.keys() - {"Tags", "BucketName"}):
            self._unset(aws, made.id, setting)
        return self._set(aws, made.id, changed(before, after, *before.properties), before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "s3", "delete_bucket", Bucket=made.id)

    def _set(self, aws: Aws, name: str, settings: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        for setting, value in settings.items():
            if setting == "LoggingConfiguration":
                # moto accepts no policy for the log service but one form of it; the setting itself it can store.
                target = {"TargetBucket": value.get("DestinationBucketName", name)}
                inside(aws, "s3").buckets[name].logging = {**target, "TargetPrefix": value.get("LogFilePrefix", "")}
            elif setting in _BUCKET_SETTINGS:
                operation, member, form = _BUCKET_SETTINGS[setting]
                call(aws, "s3", f"put_{operation}", Bucket=name, **{member: form(value)})
            else:
                raise Refused(f"The local AWS does not know the property {setting} of a bucket")
        tag(aws, f"arn:aws:s3:::{name}", before, after)
        return Made(
            name,
            {
                "Arn": f"arn:aws:s3:::{name}",
                "DomainName": f"{name}.s3.amazonaws.com",
                "RegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
            },
        )

    def _unset(self, aws: Aws, name: str, setting: str) -> None:
        if setting == "LoggingConfiguration":
            call(aws, "s3", "put_bucket_logging", Bucket=name, BucketLoggingStatus={})
        elif setting == "VersioningConfiguration":  # versions once kept can only be suspended
            suspended = {"Status": "Suspended"}
            call(aws, "s3", "put_bucket_versioning", Bucket=name, VersioningConfiguration=suspended)
        elif setting in _BUCKET_SETTINGS:
            operation = _BUCKET_SETTINGS[setting][0].removesuffix("_configuration")
            call(aws, "s3", f"delete_{operation}", Bucket=name)


def _encryption(value: Mapping[str, Any]) -> dict[str, Any]:
    rename = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    rules = value["ServerSideEncryptionConfiguration"]
    return {"Rules": [{rename.get(key, key): part for key, part in rule.items()} for rule in rules]}


def _lifecycle(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule in the API's form: what it is about is a filter, and days stand one level deeper."""
    made: dict[str, Any] = {"Status": rule["Status"]}
    about: dict[str, Any] = {}
    for key, value in rule.items():
        match key:
            case "Id":
                made["ID"] = value
            case "Prefix" | "ObjectSizeGreaterThan":
                about[key] = value if key == "Prefix" else int(value)
            case "ExpirationInDays":
                made["Expiration"] = {"Days": int(value)}
            case "Transitions":
                made[key] = [{"Days": int(to["TransitionInDays"]), "StorageClass": to["StorageClass"]} for to in value]
            case "AbortIncompleteMultipartUpload" | "NoncurrentVersionExpiration":
                made[key] = {part: int(days) for part, days in value.items()}
            case "Status":
                pass
            case _:
                raise Refused(f"The local AWS does not know {key} in a rule of LifecycleConfiguration")
    made["Filter"] = {"And": about} if len(about) > 1 else about or {"Prefix": ""}
    return made


def _as_it_is(value: Any) -> Any:
    return value


# Property -> the operation without put_ or delete_, its member, the form that the member has there.
_BUCKET_SETTINGS: Mapping[str, tuple[str, str, Any]] = {
    "BucketEncryption": ("bucket_encryption", "ServerSideEncryptionConfiguration", _encryption),
    "LifecycleConfiguration": ("bucket_lifecycle_configuration", "LifecycleConfiguration", _lifecycle),
    "OwnershipControls": ("bucket_ownership_controls", "OwnershipControls", _as_it_is),
    "PublicAccessBlockConfiguration": ("public_access_block", "PublicAccessBlockConfiguration", _as_it_is),
    "VersioningConfiguration": ("bucket_versioning", "VersioningConfiguration", _as_it_is),
}


class BucketPolicy:
    """AWS::S3::BucketPolicy."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        enforce_only_what_has_no_condition()
        bucket = wanted.properties["Bucket"]
        call(aws, "s3", "put_bucket_policy", Bucket=bucket, Policy=json.dumps(wanted.properties["PolicyDocument"]))
        return Made(bucket, {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "s3", "delete_bucket_policy", Bucket=made.id)


def enforce_only_what_has_no_condition() -> None:
    """Moto enforces statements without reading their conditions: a policy that asks for TLS would refuse everything
    that comes over http. So it sees the policy without statements that have conditions; who reads it sees all."""
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.s3.models import FakeBucket

    def get_permission(bucket: Any, action: str, resource: str) -> Any:
        statements = json.loads(bucket.policy)["Statement"] if bucket.policy else []
        statements = statements if isinstance(statements, list) else [statements]
        unconditional = [statement for statement in statements if "Condition" not in statement]
        if not unconditional:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps({"Statement": unconditional})).is_action_permitted(action, resource)

    FakeBucket.get_permission = get_permission  # type: ignore[assignment,method-assign]


class Table:
    """AWS::DynamoDB::Table: the table, its protection against deletion, its time to live and its recovery."""

    _AFTERWARDS = ("PointInTimeRecoverySpecification", "TimeToLiveSpecification")
    _RENAMED: Mapping[str, str] = {"SSEEnabled": "Enabled"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("TableName") or wanted.name(255)
        properties = without(wanted.properties, "TableName", *self._AFTERWARDS)
        call(aws, "dynamodb", "create_table", properties, self._RENAMED, TableName=name)
        return self._finish(aws, name, wanted.properties, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after)
        properties = without(news, *self._AFTERWARDS)
        if "SSESpecification" in properties:  # moto's UpdateTable does not read it
            wish = properties.pop("SSESpecification")
            its_own = {self._RENAMED.get(key, key): value for key, value in wish.items()}
            inside(aws, "dynamodb").get_table(made.id).sse_specification = its_own
        if properties:
            call(aws, "dynamodb", "update_table", properties, self._RENAMED, TableName=made.id)
        return self._finish(aws, made.id, news, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "dynamodb", "delete_table", TableName=made.id)

    def _finish(self, aws: Aws, name: str, news: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        if "TimeToLiveSpecification" in news:
            lifetime = {"TimeToLiveSpecification": news["TimeToLiveSpecification"]}
            call(aws, "dynamodb", "update_time_to_live", lifetime, {}, TableName=name)
        if "PointInTimeRecoverySpecification" in news:
            recovery = {"PointInTimeRecoverySpecification": news["PointInTimeRecoverySpecification"]}
            call(aws, "dynamodb", "update_continuous_backups", recovery, {}, TableName=name)
        table = call(aws, "dynamodb", "describe_table", TableName=name)["Table"]
        tag(aws, table["TableArn"], before, after)
        return Made(name, {"Arn": table["TableArn"]})


class Repository:
    """AWS::ECR::Repository: a repository, and one call for each of its settings."""

    _TEXTS = ("LifecyclePolicy", "RepositoryPolicyText")
    _TAGS = Tagging(key="resourceArn", by="Arn", gone=lambda keys: {"tagKeys": keys})

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("RepositoryName") or wanted.name(256, lower=True)
        properties = without(wanted.properties, "RepositoryName", *self._TEXTS)
        call(aws, "ecr", "create_repository", properties, repositoryName=name)
        return self._set(aws, name, wanted.properties, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after)
        refuse_change(before, after, "ImageTagMutability", *self._TEXTS)
        if "ImageTagMutability" in news:
            mutability = {"imageTagMutability": news["ImageTagMutability"]}
            call(aws, "ecr", "put_image_tag_mutability", mutability, {}, repositoryName=made.id)
        return self._set(aws, made.id, news, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "ecr", "delete_repository", repositoryName=made.id)

    def _set(self, aws: Aws, name: str, news: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        if "LifecyclePolicy" in news:
            policy = news["LifecyclePolicy"]["LifecyclePolicyText"]
            call(aws, "ecr", "put_lifecycle_policy", repositoryName=name, lifecyclePolicyText=policy)
        if "RepositoryPolicyText" in news:
            policy = text(news["RepositoryPolicyText"])
            call(aws, "ecr", "set_repository_policy", repositoryName=name, policyText=policy)
        found = call(aws, "ecr", "describe_repositories", repositoryNames=[name])["repositories"][0]
        made = Made(name, {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]})
        self._TAGS.change(aws, "ecr", made, before, after)
        return made


STORAGE: dict[str, Kind] = {
    "AWS::DynamoDB::Table": Table(),
    "AWS::ECR::Repository": Repository(),
    "AWS::S3::Bucket": Bucket(),
    "AWS::S3::BucketPolicy": BucketPolicy(),
}
