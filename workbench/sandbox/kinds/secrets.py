"""Secrets Manager. Moto would rotate in Docker; here nothing rotates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import call, changed, inside, refuse_unknown, remove, tag, without
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted, absent_is_fine


class Secret:
    """AWS::SecretsManager::Secret: with the value of the template, or with one that is generated once."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("Name") or wanted.name(255)
        members = {"Name": name, **self._generated(aws, wanted.properties)}
        properties = without(wanted.properties, "Name", "GenerateSecretString")
        made = call(aws, "secretsmanager", "create_secret", properties, {}, **members)
        return self._made(aws, made["ARN"], None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        news = changed(before, after, *before.properties)
        if before.properties != after.properties:
            # moto forgets a key that is not named again.
            properties = without(after.properties, "Name", "GenerateSecretString")
            value = self._generated(aws, news)
            call(aws, "secretsmanager", "update_secret", properties, {}, SecretId=made.id, **value)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "secretsmanager", "delete_secret", SecretId=made.id, ForceDeleteWithoutRecovery=True)

    def _generated(self, aws: Aws, properties: Mapping[str, Any]) -> dict[str, str]:
        if "GenerateSecretString" not in properties:
            return {}
        wish = dict(properties["GenerateSecretString"])
        template, key = wish.pop("SecretStringTemplate", None), wish.pop("GenerateStringKey", None)
        password = call(aws, "secretsmanager", "get_random_password", wish)["RandomPassword"]
        if template is None:
            return {"SecretString": password}
        return {"SecretString": json.dumps({**json.loads(template), key: password})}

    def _made(self, aws: Aws, its_arn: str, before: Wanted | None, after: Wanted) -> Made:
        tag(aws, its_arn, before, after)
        return Made(its_arn, {"Id": its_arn})


class SecretAttachment:
    """AWS::SecretsManager::SecretTargetAttachment: writes into the secret how to reach the database it opens."""

    _CONNECTION = ("dbInstanceIdentifier", "dbname", "engine", "host", "port")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        target_type = wanted.properties["TargetType"]
        if target_type != "AWS::RDS::DBInstance":
            raise Refused(f"The local AWS cannot attach a secret to a target of the type {target_type}")
        name = wanted.properties["TargetId"]
        database = call(aws, "rds", "describe_db_instances", DBInstanceIdentifier=name)["DBInstances"][0]
        found = (name, database.get("DBName"), database["Engine"], *database["Endpoint"].values())
        connection = {key: value for key, value in zip(self._CONNECTION, found, strict=True) if value is not None}
        self._write(aws, wanted.properties["SecretId"], connection)
        return Made(wanted.properties["SecretId"], {"Id": wanted.properties["SecretId"]})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        with absent_is_fine():
            self._write(aws, made.id, {})

    def _write(self, aws: Aws, secret: str, connection: Mapping[str, Any]) -> None:
        value = json.loads(call(aws, "secretsmanager", "get_secret_value", SecretId=secret)["SecretString"])
        value = {key: part for key, part in value.items() if key not in self._CONNECTION}
        new = json.dumps({**value, **connection})
        call(aws, "secretsmanager", "put_secret_value", SecretId=secret, SecretString=new)


class Rotation:
    """AWS::SecretsManager::RotationSchedule. Moto would start the function in Docker at once; here it is noted only."""

    forgets: Mapping[str, str] = {"RotateImmediatelyOnUpdate": "nothing rotates"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        refuse_unknown(wanted, "RotationLambdaARN", "RotationRules", "SecretId", *self.forgets)
        secret_id, rules = wanted.properties["SecretId"], wanted.properties.get("RotationRules", {})
        call(aws, "secretsmanager", "describe_secret", SecretId=secret_id)  # refuses where there is no such secret
        secret = inside(aws, "secretsmanager").secrets[secret_id]
        secret.rotation_requested = secret.rotation_enabled = True
        secret.rotation_lambda_arn = wanted.properties.get("RotationLambdaARN", "")
        secret.auto_rotate_after_days = int(rules.get("AutomaticallyAfterDays", 0))
        return Made(secret_id, {"Id": secret_id})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "secretsmanager", "cancel_rotate_secret", SecretId=made.id)


SECRETS: dict[str, Kind] = {
    "AWS::SecretsManager::RotationSchedule": Rotation(),
    "AWS::SecretsManager::Secret": Secret(),
    "AWS::SecretsManager::SecretTargetAttachment": SecretAttachment(),
}
