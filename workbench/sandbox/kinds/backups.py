"""AWS Backup. Moto has no selections and no policies of vaults, and cannot change a plan."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.sandbox.kinds.calls import (
    Kept,
    arn,
    call,
    inside,
    made_up_id,
    refuse_change,
    refuse_unknown,
    remembered,
    remove,
    tag,
    without,
    written_again,
)
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted


class Vault:
    """AWS::Backup::BackupVault."""

    forgets: Mapping[str, str] = {"AccessPolicy": "moto has no policies of vaults"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        refuse_unknown(wanted, "BackupVaultName", "BackupVaultTags", "EncryptionKeyArn", *self.forgets)
        name = wanted.properties["BackupVaultName"]
        members = {"EncryptionKeyArn": wanted.properties.get("EncryptionKeyArn", f"{name}-key")}
        call(aws, "backup", "create_backup_vault", BackupVaultName=name, **members)
        return self.update(aws, Made(name, {}), wanted, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        refuse_change(before, after, *self.forgets)
        its_arn = arn(aws, "backup", f"backup-vault:{made.id}")
        tag(aws, its_arn, before, after)
        return Made(made.id, {"BackupVaultArn": its_arn, "BackupVaultName": made.id})

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        vault = inside(aws, "backup").vaults.get(made.id)
        if vault is not None and vault.num_of_recovery_points:  # moto would delete what it holds with it
            raise Refused(
                f"Backup vault cannot be deleted because it contains recovery points: {made.id} holds"
                f" {vault.num_of_recovery_points}"
            )
        remove(aws, "backup", "delete_backup_vault", BackupVaultName=made.id)


class Plan:
    """AWS::Backup::BackupPlan; moto has no UpdateBackupPlan, so a changed plan is written again under its id."""

    _RENAMED: Mapping[str, str] = {"BackupPlanRule": "Rules", "TargetBackupVault": "TargetBackupVaultName"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        properties = without(wanted.properties, "BackupPlanTags")
        made = call(aws, "backup", "create_backup_plan", properties, self._RENAMED)
        return self._made(aws, made["BackupPlanId"], None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties != after.properties:
            plans = inside(aws, "backup").plans
            with written_again(plans, made.id) as old:
                new_id = self.create(aws, after).id
            new = plans[made.id] = plans.pop(new_id)
            new.backup_plan_id, new.backup_plan_arn = old.backup_plan_id, old.backup_plan_arn
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        selections = remembered(aws, "backup", "AWS::Backup::BackupSelection")
        if any(selection["BackupPlanId"] == made.id for selection in selections.values()):
            raise Refused(f"Related backup plan selections must be deleted prior to backup plan deletion: {made.id}")
        inside(aws, "backup").plans.pop(made.id, None)  # moto keeps deleted plans, and their names as taken

    def _made(self, aws: Aws, plan_id: str, before: Wanted | None, after: Wanted) -> Made:
        plan = call(aws, "backup", "get_backup_plan", BackupPlanId=plan_id)
        tag(aws, plan["BackupPlanArn"], before, after)
        return Made(plan_id, {name: plan[name] for name in ("BackupPlanArn", "BackupPlanId", "VersionId")})


def _selection(aws: Aws, wanted: Wanted) -> Made:
    plan_id = wanted.properties["BackupPlanId"]
    call(aws, "backup", "get_backup_plan", BackupPlanId=plan_id)  # refuses where there is no such plan
    selection_id = made_up_id(wanted)
    attributes = {"BackupPlanId": plan_id, "Id": f"{plan_id}|{selection_id}", "SelectionId": selection_id}
    return Made(f"{plan_id}|{selection_id}", attributes)


BACKUPS: dict[str, Kind] = {
    "AWS::Backup::BackupPlan": Plan(),
    "AWS::Backup::BackupSelection": Kept("backup", "moto has no selections of backup plans", _selection),
    "AWS::Backup::BackupVault": Vault(),
}
