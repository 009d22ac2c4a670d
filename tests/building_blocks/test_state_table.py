"""The jobs' memory: survives mistakes, costs nothing at night, forgets by itself."""

from __future__ import annotations

import pytest

from blueprint.parts import Protection
from building_blocks.state_table import EXPIRES, KEY, StateTable
from tests.building_blocks.alone import CAREFUL, CARELESS, Template, only, resources, synth_alone


def table(protection: Protection) -> Template:
    return synth_alone(lambda stack, theirs: StateTable(stack, "State", key=theirs.key, protection=protection))


def test_items_have_one_key_and_an_end() -> None:
    properties = only(table(CAREFUL), "AWS::DynamoDB::Table")
    assert properties["KeySchema"] == [{"AttributeName": KEY, "KeyType": "HASH"}]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": EXPIRES, "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert "TableName" not in properties


def test_the_table_is_encrypted_with_the_given_key() -> None:
    encryption = only(table(CAREFUL), "AWS::DynamoDB::Table")["SSESpecification"]
    assert (encryption["SSEEnabled"], encryption["SSEType"]) == (True, "KMS")
    assert encryption["KMSMasterKeyId"]["Fn::GetAtt"][0].startswith("TheirKey")


@pytest.mark.parametrize(
    ("protection", "protected", "days", "policy"), [(CAREFUL, True, 35, "Retain"), (CARELESS, False, 1, "Delete")]
)
def test_protection_decides_how_hard_it_is_to_lose(
    protection: Protection, protected: bool, days: int, policy: str
) -> None:
    template = table(protection)
    properties = only(template, "AWS::DynamoDB::Table")
    assert properties["DeletionProtectionEnabled"] is protected
    assert properties["PointInTimeRecoverySpecification"] == {
        "PointInTimeRecoveryEnabled": True,
        "RecoveryPeriodInDays": days,
    }
    [resource] = resources(template, "AWS::DynamoDB::Table").values()
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (policy, "Retain")
