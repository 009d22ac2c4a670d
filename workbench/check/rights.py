"""Rules about rights and secrets: who may do what, and what nobody may read in a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from blueprint.parts import Stage
from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates.reading import System, items, leaves, yes
from workbench.templates.rights import (
    POLICIES,
    PRINCIPALS,
    RESOURCE_POLICIES,
    WIDE_MANAGED,
    is_everybody,
    own_statements,
    statements,
)

SECRET_NAME = re.compile(r"(password|passwd|secretstring|authtoken|apikey|privatekey|secretkey)s?$", re.IGNORECASE)
SECRET_VALUE = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----")


def has_secrets(stage: Stage) -> bool:
    return stage.database is not None or stage.cdn is not None


@rule(
    "HA08",
    "Every secret is generated",
    why="A password in a template is in the repository, in the change set and in every copy of both.",
    fix="GenerateSecretString, and a dynamic reference where a property needs the value.",
    source="AWS FSBP SecretsManager.1; CloudFormation dynamic references",
    expected=has_secrets,
)
def secrets(system: System, _: Wanted) -> Verdicts:
    for secret in system.of_type("AWS::SecretsManager::Secret"):
        generated = isinstance(secret.get("GenerateSecretString"), Mapping) and "SecretString" not in secret.properties
        yield secret, None if generated else "is not generated"
    for resource in system.resources:
        for path, value in leaves(resource.properties):
            name = path[-1] if path else ""
            if SECRET_NAME.search(name) and not _refers_to_a_secret(value) and name != "GenerateSecretString":
                yield resource, f"has a readable {name}" if _is_readable(value) else None
            if isinstance(value, str) and SECRET_VALUE.search(value):
                yield resource, f"holds a key in {'.'.join(path)}"
    for stack in system.stacks:
        first = next((resource for resource in system.resources if resource.stack is stack), None)
        for name, parameter in (stack.template.get("Parameters") or {}).items():
            if first is not None and yes(parameter.get("NoEcho")):
                yield (
                    first,
                    f"its stack has a default for the hidden parameter {name}" if "Default" in parameter else None,
                )


def _refers_to_a_secret(value: Any) -> bool:
    return any("{{resolve:" in part for _, part in leaves(value) if isinstance(part, str))


def _is_readable(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return (
        isinstance(value, Mapping)
        and not value.keys() <= {"Ref", "Fn::GetAtt", "Fn::ImportValue"}
        and any(isinstance(part, str) and part for _, part in leaves(value))
    )


@rule(
    "HA09",
    "No right to everything",
    why="`*` and `service:*` give rights that nobody thought of, also those that AWS adds next year.",
    fix="List the actions; Action instead of NotAction; no AdministratorAccess.",
    source="AWS FSBP IAM.1, IAM.21",
)
def wide_rights(system: System, _: Wanted) -> Verdicts:
    for resource in system.of_type(*POLICIES, *PRINCIPALS):
        yield resource, None
        for statement in own_statements(resource):
            if statement.get("Effect") == "Allow":
                yield resource, _too_wide(statement)
        for _path, value in leaves(resource.get("ManagedPolicyArns")):
            if isinstance(value, str) and WIDE_MANAGED.search(value):
                yield resource, f"takes over {value.rpartition('/')[2]}"
    for user in system.of_type("AWS::IAM::User", "AWS::IAM::AccessKey"):
        yield user, "is a lasting identity; use roles"


def _too_wide(statement: Mapping[str, Any]) -> str | None:
    if "NotAction" in statement:
        return "allows everything but a list"
    wide = [action for action in items(statement.get("Action")) if str(action) == "*" or str(action).endswith(":*")]
    return f"allows {', '.join(wide)}" if wide else None


@rule(
    "HA10",
    "Nothing of ours is open to every account",
    why="A policy for everybody without a condition makes a queue, topic, bucket or key public.",
    fix="Name the account or service; with `*`, add a condition on the source.",
    source="AWS FSBP S3.2, SQS.3, SNS.4, KMS.5, RDS.2",
)
def public_things(system: System, _: Wanted) -> Verdicts:
    for resource in system.resources:
        if resource.type in RESOURCE_POLICIES:
            policy = resource.get(RESOURCE_POLICIES[resource.type].document)
            if policy is not None:
                yield resource, None
            for statement in statements(policy):
                if statement.get("Effect") != "Allow":
                    continue
                if is_everybody(statement.get("Principal")) and not statement.get("Condition"):
                    yield resource, "allows everybody"
                if resource.type != "AWS::KMS::Key":  # a key's own policy gives its account everything, by design
                    yield resource, _too_wide(statement)
        elif resource.type == "AWS::S3::Bucket":
            block = resource.get("PublicAccessBlockConfiguration", {})
            names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
            off = [name for name in names if not yes(block.get(name))]
            yield resource, f"may be made public: {', '.join(off)} off" if off else None
        elif resource.type == "AWS::RDS::DBInstance":
            closed = str(resource.get("PubliclyAccessible", "")).lower() == "false"
            yield resource, None if closed else "does not say that it has no public address"
        elif resource.type == "AWS::Lambda::Permission":
            yield resource, "allows everybody to call it" if resource.get("Principal") == "*" else None
        elif resource.type == "AWS::EC2::LaunchTemplate":
            interfaces = items(resource.get("LaunchTemplateData.NetworkInterfaces"))
            public = any(yes(each.get("AssociatePublicIpAddress")) for each in interfaces)
            yield resource, "gives its hosts public addresses" if public else None


RULES = (secrets, wide_rights, public_things)
