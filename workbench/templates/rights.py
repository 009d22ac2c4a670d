"""Policies, wherever templates have them: who they speak of, and the statements that they make."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.templates import Key
from workbench.templates.names import several, written
from workbench.templates.reading import Resource, System, dig
from workbench.templates.references import is_function

POLICIES = (
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::RolePolicy",
    "AWS::IAM::UserPolicy",
    "AWS::IAM::GroupPolicy",
)
PRINCIPALS = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
ATTACHED_TO = ("Roles", "Users", "Groups", "RoleName", "UserName", "GroupName")
# Managed policies that reach far beyond one task.
WIDE_MANAGED = re.compile(r"(AdministratorAccess|PowerUserAccess|FullAccess)\b")


@dataclass(frozen=True)
class ResourcePolicy:
    """Where a type has a policy about what other accounts and services may do with a resource."""

    document: str
    protects: str = ""  # the property that names the protected resources; empty when it protects itself


RESOURCE_POLICIES: Mapping[str, ResourcePolicy] = {
    "AWS::ApiGateway::RestApi": ResourcePolicy("Policy"),
    "AWS::Backup::BackupVault": ResourcePolicy("AccessPolicy"),
    "AWS::DynamoDB::Table": ResourcePolicy("ResourcePolicy.PolicyDocument"),
    "AWS::ECR::Repository": ResourcePolicy("RepositoryPolicyText"),
    "AWS::EFS::FileSystem": ResourcePolicy("FileSystemPolicy"),
    "AWS::KMS::Key": ResourcePolicy("KeyPolicy"),
    "AWS::KMS::ReplicaKey": ResourcePolicy("KeyPolicy"),
    "AWS::Kinesis::ResourcePolicy": ResourcePolicy("ResourcePolicy", "ResourceArn"),
    "AWS::Logs::ResourcePolicy": ResourcePolicy("PolicyDocument"),
    "AWS::OpenSearchService::Domain": ResourcePolicy("AccessPolicies"),
    "AWS::S3::AccessPoint": ResourcePolicy("Policy"),
    "AWS::S3::BucketPolicy": ResourcePolicy("PolicyDocument", "Bucket"),
    "AWS::SNS::TopicInlinePolicy": ResourcePolicy("PolicyDocument", "TopicArn"),
    "AWS::SNS::TopicPolicy": ResourcePolicy("PolicyDocument", "Topics"),
    "AWS::SQS::QueueInlinePolicy": ResourcePolicy("PolicyDocument", "Queue"),
    "AWS::SQS::QueuePolicy": ResourcePolicy("PolicyDocument", "Queues"),
    "AWS::SecretsManager::ResourcePolicy": ResourcePolicy("ResourcePolicy", "SecretId"),
}


def statements(document: Any, called: Mapping[Key, str] | None = None) -> Iterator[Mapping[str, Any]]:
    """The statements of a policy, also of one that is written as text."""
    for policy in several(document):
        read = _parsed(written(policy, called or {})) if isinstance(policy, str) or is_function(policy) else policy
        yield from (one for one in several(dig(read, "Statement")) if isinstance(one, Mapping))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def inline(principal: Resource) -> Iterator[Any]:
    """The policies that are written into a role, a user or a group."""
    return (dig(policy, "PolicyDocument") for policy in several(principal.get("Policies")))


def holders(system: System, policy: Resource) -> list[Resource]:
    """The roles, users and groups that a policy is attached to from its own side."""
    found = system.targets([policy.get(name) for name in ATTACHED_TO])
    return [holder for holder in found if holder.type in PRINCIPALS]


def statements_of(system: System, role: Resource) -> Iterator[Mapping[str, Any]]:
    """Every statement that a role has, inline or attached from any stack."""
    for document in inline(role):
        yield from statements(document)
    for policy in system.of_type(*POLICIES):
        if role in holders(system, policy):
            yield from statements(policy.get("PolicyDocument"))


def own_statements(resource: Resource) -> Iterator[Mapping[str, Any]]:
    """Statements about what a principal may do, written in this resource."""
    if resource.type in POLICIES:
        yield from statements(resource.get("PolicyDocument"))
    for document in inline(resource) if resource.type in PRINCIPALS else ():
        yield from statements(document)


def is_everybody(principal: Any) -> bool:
    """Whether a statement speaks of every account there is."""
    return principal == "*" or (isinstance(principal, Mapping) and "*" in several(principal.get("AWS")))
