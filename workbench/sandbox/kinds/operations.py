"""What operators look at: CloudWatch and its logs, Systems Manager, Budgets. Moto has no associations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import (
    Kept,
    arn,
    call,
    inside,
    made_up_id,
    refuse_unknown,
    remove,
    tag,
    text,
    without,
    written_again,
)
from workbench.sandbox.kinds.kind import Aws, Kind, Made, NotInPlace, Wanted
from workbench.sandbox.kinds.row import Row, Setting, Tagging


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


class Alarm:
    """AWS::CloudWatch::Alarm; putting one says all of it, the first time and every time."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("AlarmName") or wanted.name(255)
        return self._put(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        return self._put(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "cloudwatch", "delete_alarms", AlarmNames=[made.id])

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        call(aws, "cloudwatch", "put_metric_alarm", without(after.properties, "AlarmName"), AlarmName=name)
        its_arn = arn(aws, "cloudwatch", f"alarm:{name}")
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn})


class Dashboard:
    """AWS::CloudWatch::Dashboard; it takes no tags."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("DashboardName") or wanted.name(255)
        call(aws, "cloudwatch", "put_dashboard", without(wanted.properties, "DashboardName"), DashboardName=name)
        return Made(name, {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        call(aws, "cloudwatch", "put_dashboard", without(after.properties, "DashboardName"), DashboardName=made.id)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "cloudwatch", "delete_dashboards", DashboardNames=[made.id])


class Budget:
    """AWS::Budgets::Budget; moto has no UpdateBudget, so a changed budget is written again under its name."""

    forgets: Mapping[str, str] = {
        "NotificationsWithSubscribers.Subscribers": "moto stores who is told, and shows it nowhere",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        refuse_unknown(wanted, "Budget", "NotificationsWithSubscribers")
        budget = {"BudgetName": wanted.name(100), **wanted.properties["Budget"]}
        properties = {**wanted.properties, "Budget": budget}
        call(aws, "budgets", "create_budget", properties, AccountId=aws.account)
        return Made(budget["BudgetName"], {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties != after.properties:
            with written_again(inside(aws, "budgets").budgets[aws.account], made.id):
                self.create(aws, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "budgets", "delete_budget", AccountId=aws.account, BudgetName=made.id)


OPERATIONS: dict[str, Kind] = {
    "AWS::Budgets::Budget": Budget(),
    "AWS::CloudWatch::Alarm": Alarm(),
    "AWS::CloudWatch::Dashboard": Dashboard(),
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
