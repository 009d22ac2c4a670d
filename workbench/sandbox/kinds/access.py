"""The resource types of access and of what is noted: roles, keys, logs, parameters and what Systems Manager runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.sandbox.kinds.calls import Kept, call, inside, made_up_id, remove, text
from workbench.sandbox.kinds.kind import Aws, Kind, Made, NotInPlace, Wanted
from workbench.sandbox.kinds.row import Row, Setting, Tagging

_MOST_VERSIONS = 5  # of a managed policy, which AWS keeps
_LONGEST_WINDOW = 30  # days in which a key can be saved, when nothing else is said


# ---- IAM


def _difference(before: Any, after: Any) -> tuple[list[Any], list[Any]]:
    """What is gone, and what is new."""
    had, wants = before or [], after or []
    return [one for one in had if one not in wants], [one for one in wants if one not in had]


class Role(Row):
    """AWS::IAM::Role with its policies: written inside it, or attached."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._policies(aws, made.id, {}, wanted.properties)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        made = super().update(aws, made, before, after)
        self._policies(aws, made.id, before.properties, after.properties)
        boundary = after.properties.get("PermissionsBoundary")
        if boundary:
            call(aws, "iam", "put_role_permissions_boundary", RoleName=made.id, PermissionsBoundary=boundary)
        elif "PermissionsBoundary" in before.properties:
            call(aws, "iam", "delete_role_permissions_boundary", RoleName=made.id)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        self._policies(aws, made.id, wanted.properties, {})
        super().delete(aws, made, wanted)

    def _policies(self, aws: Aws, role: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        detached, attached = _difference(old.get("ManagedPolicyArns"), new.get("ManagedPolicyArns"))
        for arn in detached:
            remove(aws, "iam", "detach_role_policy", RoleName=role, PolicyArn=arn)
        for arn in attached:
            call(aws, "iam", "attach_role_policy", RoleName=role, PolicyArn=arn)
        gone, came = _difference(old.get("Policies"), new.get("Policies"))
        for policy in gone:
            remove(aws, "iam", "delete_role_policy", RoleName=role, PolicyName=policy["PolicyName"])
        for policy in came:
            call(aws, "iam", "put_role_policy", policy, RoleName=role)


_HOLDERS = (("Roles", "role", "RoleName"), ("Groups", "group", "GroupName"), ("Users", "user", "UserName"))


def _holders(properties: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Who has a policy: what operations call them, and how they name them."""
    for property, word, member in _HOLDERS:
        for name in properties.get(property, []):
            yield word, {member: name}


class Policy:
    """AWS::IAM::Policy: one text inside each role, group or user that it names."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        id_ = wanted.name(128)
        policy = {name: wanted.properties[name] for name in ("PolicyDocument", "PolicyName")}
        for word, holder in _holders(wanted.properties):
            call(aws, "iam", f"put_{word}_policy", policy, **holder)
        return Made(id_, {"Id": id_})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        renamed = before.properties["PolicyName"] != after.properties["PolicyName"]
        kept = [] if renamed else list(_holders(after.properties))
        self.create(aws, after)
        self._take(aws, before, [holder for holder in _holders(before.properties) if holder not in kept])
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        self._take(aws, wanted, list(_holders(wanted.properties)))

    def _take(self, aws: Aws, wanted: Wanted, holders: list[tuple[str, dict[str, str]]]) -> None:
        for word, holder in holders:
            remove(aws, "iam", f"delete_{word}_policy", PolicyName=wanted.properties["PolicyName"], **holder)


class ManagedPolicy(Row):
    """AWS::IAM::ManagedPolicy; a changed text is its next version."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._attach(aws, made.id, {}, wanted.properties)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties["PolicyDocument"] != after.properties["PolicyDocument"]:
            older = self._versions(aws, made.id)
            for version in older[: max(0, len(older) - _MOST_VERSIONS + 2)]:
                call(aws, "iam", "delete_policy_version", PolicyArn=made.id, VersionId=version)
            document = text(after.properties["PolicyDocument"])
            members = {"PolicyArn": made.id, "PolicyDocument": document, "SetAsDefault": True}
            call(aws, "iam", "create_policy_version", **members)
        self._attach(aws, made.id, before.properties, after.properties)
        return super().update(aws, made, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        if made.id in inside(aws, "iam").managed_policies:
            self._attach(aws, made.id, wanted.properties, {})
            for version in self._versions(aws, made.id):
                call(aws, "iam", "delete_policy_version", PolicyArn=made.id, VersionId=version)
            super().delete(aws, made, wanted)

    def _versions(self, aws: Aws, arn: str) -> list[str]:
        """Those that are not in force, the oldest first."""
        versions = call(aws, "iam", "list_policy_versions", PolicyArn=arn)["Versions"]
        return sorted(
            (one["VersionId"] for one in versions if not one["IsDefaultVersion"]), key=lambda id_: int(id_[1:])
        )

    def _attach(self, aws: Aws, arn: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        gone, came = _difference(list(_holders(old)), list(_holders(new)))
        for word, holder in gone:
            remove(aws, "iam", f"detach_{word}_policy", PolicyArn=arn, **holder)
        for word, holder in came:
            call(aws, "iam", f"attach_{word}_policy", PolicyArn=arn, **holder)


class Profile(Row):
    """AWS::IAM::InstanceProfile with the role in it."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._roles(aws, made.id, [], wanted.properties["Roles"])
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        self._roles(aws, made.id, before.properties["Roles"], after.properties["Roles"])
        return super().update(aws, made, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        self._roles(aws, made.id, wanted.properties["Roles"], [])
        super().delete(aws, made, wanted)

    def _roles(self, aws: Aws, profile: str, before: list[str], after: list[str]) -> None:
        gone, came = _difference(before, after)
        for role in gone:
            members = {"InstanceProfileName": profile, "RoleName": role}
            remove(aws, "iam", "remove_role_from_instance_profile", **members)
        for role in came:
            call(aws, "iam", "add_role_to_instance_profile", InstanceProfileName=profile, RoleName=role)


# ---- KMS


class Key(Row):
    """AWS::KMS::Key; deleting it starts the days in which it can be saved."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._switch(aws, made.id, wanted)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        made = super().update(aws, made, before, after)
        self._switch(aws, made.id, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        key = inside(aws, "kms").keys.get(made.id)
        if key is not None and key.key_state != "PendingDeletion":
            days = int(wanted.properties.get("PendingWindowInDays", _LONGEST_WINDOW))
            call(aws, "kms", "schedule_key_deletion", KeyId=made.id, PendingWindowInDays=days)

    def _switch(self, aws: Aws, key: str, wanted: Wanted) -> None:
        rotates = text(wanted.properties.get("EnableKeyRotation", False)) == "true"
        period = {name: value for name, value in wanted.properties.items() if name == "RotationPeriodInDays"}
        call(aws, "kms", f"{'enable' if rotates else 'disable'}_key_rotation", period if rotates else {}, KeyId=key)
        enabled = text(wanted.properties.get("Enabled", True)) == "true"
        call(aws, "kms", f"{'enable' if enabled else 'disable'}_key", KeyId=key)


# ---- CloudWatch Logs


class LogGroup(Row):
    """AWS::Logs::LogGroup."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._keep(aws, made.id, wanted)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        made = super().update(aws, made, before, after)
        self._keep(aws, made.id, after)
        # moto has no AssociateKmsKey
        inside(aws, "logs").groups[made.id].kms_key_id = after.properties.get("KmsKeyId")
        return made

    def _keep(self, aws: Aws, name: str, wanted: Wanted) -> None:
        days = {key: value for key, value in wanted.properties.items() if key == "RetentionInDays"}
        call(aws, "logs", "put_retention_policy" if days else "delete_retention_policy", days, logGroupName=name)

    def attributes_of(self, aws: Aws, id_: str, answer: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"Arn": f"arn:aws:logs:{aws.region}:{aws.account}:log-group:{id_}:*"}


# ---- Systems Manager


class Document(Row):
    """AWS::SSM::Document; with the update method NewVersion a changed text is its next version, and in force."""

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties["Content"] != after.properties["Content"]:
            if after.properties.get("UpdateMethod") != "NewVersion":
                raise NotInPlace("Content")
            members = {"Name": made.id, "Content": text(after.properties["Content"]), "DocumentVersion": "$LATEST"}
            members |= {name: value for name, value in after.properties.items() if name == "DocumentFormat"}
            new = call(aws, "ssm", "update_document", **members)["DocumentDescription"]["DocumentVersion"]
            call(aws, "ssm", "update_document_default_version", Name=made.id, DocumentVersion=new)
        return super().update(aws, made, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        if made.id in inside(aws, "ssm")._documents:  # InvalidDocument would say that it is wrong, not gone
            super().delete(aws, made, wanted)


def _association(aws: Aws, wanted: Wanted) -> Made:
    name = wanted.properties["Name"]
    if not name.startswith("AWS-"):
        call(aws, "ssm", "describe_document", Name=name)  # refuses where there is no such document
    id_ = made_up_id(wanted)
    return Made(id_, {"AssociationId": id_})


def _ssm_tags(what: str) -> Tagging:
    return Tagging("add_tags_to_resource", "remove_tags_from_resource", "ResourceId", also={"ResourceType": what})


_PARAMETER = ("AllowedPattern", "DataType", "Description", "Policies", "Tier", "Type", "Value")

ACCESS: dict[str, Kind] = {
    "AWS::IAM::InstanceProfile": Profile(
        "iam",
        "create_instance_profile",
        id="InstanceProfile.InstanceProfileName",
        delete_with="delete_instance_profile",
        key="InstanceProfileName",
        named="InstanceProfileName",
        longest=128,
        attributes={"Arn": "InstanceProfile.Arn"},
        elsewhere=("Roles",),
    ),
    "AWS::IAM::ManagedPolicy": ManagedPolicy(
        "iam",
        "create_policy",
        id="Policy.Arn",
        delete_with="delete_policy",
        key="PolicyArn",
        named="ManagedPolicyName",
        longest=128,
        rename={"ManagedPolicyName": "PolicyName"},
        attributes={"PolicyArn": "Policy.Arn", "PolicyId": "Policy.PolicyId"},
        elsewhere=("Groups", "PolicyDocument", "Roles", "Users"),
    ),
    "AWS::IAM::Policy": Policy(),
    "AWS::IAM::Role": Role(
        "iam",
        "create_role",
        id="Role.RoleName",
        delete_with="delete_role",
        key="RoleName",
        named="RoleName",
        attributes={"Arn": "Role.Arn", "RoleId": "Role.RoleId"},
        settings=(
            Setting(
                "update_assume_role_policy",
                ("AssumeRolePolicyDocument",),
                lambda values: {"PolicyDocument": values["AssumeRolePolicyDocument"]},
            ),
            Setting("update_role", ("Description", "MaxSessionDuration")),
        ),
        defaults={"Description": "", "MaxSessionDuration": 3600},
        tagging=Tagging("tag_role", "untag_role", "RoleName"),
        elsewhere=("ManagedPolicyArns", "PermissionsBoundary", "Policies"),
    ),
    "AWS::KMS::Alias": Row(
        "kms",
        "create_alias",
        id="Properties.AliasName",
        delete_with="delete_alias",
        key="AliasName",
        settings=(Setting("update_alias", ("TargetKeyId",)),),
    ),
    "AWS::KMS::Key": Key(
        "kms",
        "create_key",
        id="KeyMetadata.KeyId",
        delete_with="schedule_key_deletion",
        key="KeyId",
        rename={"KeyPolicy": "Policy"},
        attributes={"Arn": "KeyMetadata.Arn", "KeyId": "KeyMetadata.KeyId"},
        settings=(Setting("put_key_policy", ("KeyPolicy",)), Setting("update_key_description", ("Description",))),
        defaults={"Description": ""},
        tagging=Tagging(key="KeyId", rename={"Key": "TagKey", "Value": "TagValue"}),
        elsewhere=("Enabled", "EnableKeyRotation", "PendingWindowInDays", "RotationPeriodInDays"),
    ),
    "AWS::Logs::LogGroup": LogGroup(
        "logs",
        "create_log_group",
        id="Properties.LogGroupName",
        delete_with="delete_log_group",
        key="logGroupName",
        named="LogGroupName",
        longest=512,
        tagging=Tagging("tag_log_group", "untag_log_group", "logGroupName", gone=lambda keys: {"tags": keys}),
        elsewhere=("KmsKeyId", "RetentionInDays"),
    ),
    "AWS::Logs::LogStream": Row(
        "logs",
        "create_log_stream",
        id="Properties.LogStreamName",
        delete_with="delete_log_stream",
        key="logStreamName",
        delete_by=("LogGroupName",),
        named="LogStreamName",
        longest=512,
    ),
    "AWS::SSM::Association": Kept("ssm", "moto has no associations: no host is told to run anything", _association),
    "AWS::SSM::Document": Document(
        "ssm",
        "create_document",
        id="DocumentDescription.Name",
        delete_with="delete_document",
        key="Name",
        named="Name",
        longest=128,
        tagging=_ssm_tags("Document"),
        elsewhere=("Content", "DocumentFormat", "UpdateMethod"),
    ),
    "AWS::SSM::Parameter": Row(
        "ssm",
        "put_parameter",
        id="Properties.Name",
        delete_with="delete_parameter",
        key="Name",
        named="Name",
        longest=1011,
        describe_with="get_parameter",
        attributes={"Arn": "Parameter.ARN", "Type": "Parameter.Type", "Value": "Parameter.Value"},
        settings=(Setting("put_parameter", _PARAMETER, lambda values: {**values, "Overwrite": True}),),
        defaults={"Description": ""},
        tagging=_ssm_tags("Parameter"),
    ),
}
