"""IAM and KMS. Moto has nearly all of it, in calls of their own for what is one resource in a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import call, inside, is_true, refuse_unknown, remove, text
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Wanted
from workbench.sandbox.kinds.row import Row, Setting, Tagging

_MOST_VERSIONS = 5  # of a managed policy, which AWS keeps


_LONGEST_WINDOW = 30  # days in which a key can be saved, when nothing else is said


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


class Policy:
    """AWS::IAM::Policy: one text inside each role that it names."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        refuse_unknown(wanted, "PolicyDocument", "PolicyName", "Roles")
        id_ = wanted.name(128)
        policy = {name: wanted.properties[name] for name in ("PolicyDocument", "PolicyName")}
        for role in wanted.properties["Roles"]:
            call(aws, "iam", "put_role_policy", policy, RoleName=role)
        return Made(id_, {"Id": id_})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        renamed = before.properties["PolicyName"] != after.properties["PolicyName"]
        kept = [] if renamed else after.properties["Roles"]
        self.create(aws, after)
        self._take(aws, before, [role for role in before.properties["Roles"] if role not in kept])
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        self._take(aws, wanted, wanted.properties["Roles"])

    def _take(self, aws: Aws, wanted: Wanted, roles: list[str]) -> None:
        for role in roles:
            remove(aws, "iam", "delete_role_policy", RoleName=role, PolicyName=wanted.properties["PolicyName"])


class ManagedPolicy(Row):
    """AWS::IAM::ManagedPolicy; a changed text is its next version."""

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties["PolicyDocument"] != after.properties["PolicyDocument"]:
            older = self._versions(aws, made.id)
            for version in older[: max(0, len(older) - _MOST_VERSIONS + 2)]:
                call(aws, "iam", "delete_policy_version", PolicyArn=made.id, VersionId=version)
            document = text(after.properties["PolicyDocument"])
            members = {"PolicyArn": made.id, "PolicyDocument": document, "SetAsDefault": True}
            call(aws, "iam", "create_policy_version", **members)
        return super().update(aws, made, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        if made.id in inside(aws, "iam").managed_policies:
            for version in self._versions(aws, made.id):
                call(aws, "iam", "delete_policy_version", PolicyArn=made.id, VersionId=version)
            super().delete(aws, made, wanted)

    def _versions(self, aws: Aws, arn: str) -> list[str]:
        """Those that are not in force, the oldest first."""
        versions = call(aws, "iam", "list_policy_versions", PolicyArn=arn)["Versions"]
        return sorted(
            (one["VersionId"] for one in versions if not one["IsDefaultVersion"]), key=lambda id_: int(id_[1:])
        )


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


class Key(Row):
    """AWS::KMS::Key; deleting it starts the days in which it can be saved."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._rotate(aws, made.id, wanted)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        made = super().update(aws, made, before, after)
        self._rotate(aws, made.id, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        key = inside(aws, "kms").keys.get(made.id)
        if key is not None and key.key_state != "PendingDeletion":
            days = int(wanted.properties.get("PendingWindowInDays", _LONGEST_WINDOW))
            call(aws, "kms", "schedule_key_deletion", KeyId=made.id, PendingWindowInDays=days)

    def _rotate(self, aws: Aws, key: str, wanted: Wanted) -> None:
        rotates = is_true(wanted.properties.get("EnableKeyRotation"))
        call(aws, "kms", f"{'enable' if rotates else 'disable'}_key_rotation", KeyId=key)


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
        elsewhere=("PolicyDocument",),
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
        elsewhere=("EnableKeyRotation", "PendingWindowInDays"),
    ),
}
