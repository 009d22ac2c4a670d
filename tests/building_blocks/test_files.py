"""The files bucket: originals stay, only what is temporary goes away."""

from __future__ import annotations

from typing import Any

import pytest

from blueprint.parts import Protection
from building_blocks.files import Files
from tests.building_blocks.alone import CAREFUL, CARELESS, Template, resources, synth_alone


def files(protection: Protection) -> Template:
    return synth_alone(
        lambda stack, theirs: Files(stack, "Files", key=theirs.key, logs=theirs.logs, protection=protection)
    )


@pytest.fixture(scope="module")
def bucket() -> dict[str, Any]:
    [found] = resources(files(CAREFUL), "AWS::S3::Bucket").values()
    return found


def test_only_current_files_that_have_another_place_or_no_use_any_more_expire(bucket: dict[str, Any]) -> None:
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = [rule for rule in rules if "ExpirationInDays" in rule]
    assert [(rule["Prefix"], rule["ExpirationInDays"]) for rule in expiring] == [
        ("tmp/", 1),
        ("events/", 30),
        ("wal/", CAREFUL.backup_days + 1),  # the oldest snapshot still needs the day after it
    ]


@pytest.mark.parametrize("prefix", ["events/", "wal/"])
def test_what_has_expired_is_not_kept_as_an_old_version(bucket: dict[str, Any], prefix: str) -> None:
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    [rule] = [rule for rule in rules if rule.get("Prefix") == prefix]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_old_files_move_to_cheaper_storage_unless_that_costs_more(bucket: dict[str, Any]) -> None:
    [rule] = [rule for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"] if "Transitions" in rule]
    assert rule["Transitions"] == [{"StorageClass": "STANDARD_IA", "TransitionInDays": 90}]
    assert rule["ObjectSizeGreaterThan"] == 128 * 1024


def test_files_outlive_their_stack_where_data_is_kept(bucket: dict[str, Any]) -> None:
    assert bucket["DeletionPolicy"] == "Retain"
    [careless] = resources(files(CARELESS), "AWS::S3::Bucket").values()
    assert careless["DeletionPolicy"] == "Delete"


def test_the_bucket_has_no_physical_name(bucket: dict[str, Any]) -> None:
    assert "BucketName" not in bucket["Properties"]
