"""Rotates the master password of a database through the RDS API, in Secrets Manager's four steps.

Secrets Manager repeats a step that raises, and may repeat one that did not: each step can run again. No value of the
secret is ever logged.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import boto3

INSTANCE = os.environ["INSTANCE"]
# RDS refuses / @ " and the space; the rest would need escaping in a connection URL or a shell.
EXCLUDED = " %+~`#$&*()|[]{}:;<>?!'/@\"\\"
LENGTH = 30
POLL_SECONDS = 10
# What is left of the function's time when waiting ends, so that the reason still reaches the log.
RESERVE_MILLISECONDS = 15_000

secrets = boto3.client("secretsmanager")
rds = boto3.client("rds")


class NotReady(Exception):
    """RDS is busy with the instance; Secrets Manager shall call again."""


def handler(event: dict[str, Any], context: Any) -> None:
    """One step of the rotation that the event names."""
    secret, version, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    stages = secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
    if version not in stages:
        raise ValueError(f"version {version} is none of this secret")
    if "AWSCURRENT" in stages[version]:
        _log(step, version, "this version is current already")
        return
    if "AWSPENDING" not in stages[version]:
        raise ValueError(f"version {version} is not the pending one")
    match step:
        case "createSecret":
            create(secret, version)
        case "setSecret":
            set_password(_pending(secret, version))
        case "testSecret":
            wait_until_set(context)
        case "finishSecret":
            finish(secret, version, stages)
        case _:
            raise ValueError(f"no such step: {step}")
    _log(step, version, "done")


def create(secret: str, version: str) -> None:
    """Store a new password as the pending version, unless an earlier attempt has done so."""
    try:
        _pending(secret, version)
    except secrets.exceptions.ResourceNotFoundException:
        current = json.loads(secrets.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")["SecretString"])
        password = secrets.get_random_password(PasswordLength=LENGTH, ExcludeCharacters=EXCLUDED)["RandomPassword"]
        secrets.put_secret_value(
            SecretId=secret,
            ClientRequestToken=version,
            SecretString=json.dumps({**current, "password": password}),
            VersionStages=["AWSPENDING"],
        )


def set_password(pending: dict[str, Any]) -> None:
    """Ask RDS for the pending password. Asking twice sets the same one twice."""
    instance = _instance()
    if instance["MasterUsername"] != pending["username"]:
        raise ValueError(f"the secret is not about the master user of {INSTANCE}")
    if instance["DBInstanceStatus"] != "available":
        raise NotReady(f"{INSTANCE} is {instance['DBInstanceStatus']}")
    # A password never waits for the maintenance window. `ApplyImmediately` would start everything else that does.
    rds.modify_db_instance(DBInstanceIdentifier=INSTANCE, MasterUserPassword=pending["password"])


def wait_until_set(context: Any) -> None:
    """Wait while RDS still has the password to set, or is at it."""
    while True:
        instance = _instance()
        waiting = "MasterUserPassword" in instance.get("PendingModifiedValues", {})
        if instance["DBInstanceStatus"] == "available" and not waiting:
            return
        if context.get_remaining_time_in_millis() < RESERVE_MILLISECONDS + POLL_SECONDS * 1000:
            raise NotReady(f"{INSTANCE} is {instance['DBInstanceStatus']}, password pending: {waiting}")
        time.sleep(POLL_SECONDS)


def finish(secret: str, version: str, stages: dict[str, list[str]]) -> None:
    """Make the pending version the current one."""
    secrets.update_secret_version_stage(
        SecretId=secret,
        VersionStage="AWSCURRENT",
        MoveToVersionId=version,
        RemoveFromVersionId=next(name for name, labels in stages.items() if "AWSCURRENT" in labels),
    )


def _pending(secret: str, version: str) -> dict[str, Any]:
    value = secrets.get_secret_value(SecretId=secret, VersionId=version, VersionStage="AWSPENDING")
    pending: dict[str, Any] = json.loads(value["SecretString"])
    return pending


def _instance() -> dict[str, Any]:
    instance: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=INSTANCE)["DBInstances"][0]
    return instance


def _log(step: str, version: str, outcome: str) -> None:
    print(json.dumps({"step": step, "version": version, "outcome": outcome}))
