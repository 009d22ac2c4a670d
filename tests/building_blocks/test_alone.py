"""The foreign app itself: a clean answer from it must mean something."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sqs as sqs

from tests.building_blocks.alone import ForeignApp, assert_nag_looked, synth_alone


def test_a_finding_of_nag_fails_the_synthesis() -> None:
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synth_alone(lambda stack, _: sqs.Queue(stack, "Unprotected"))


def test_an_error_of_cfn_lint_fails() -> None:
    def misspelt(stack: cdk.Stack, _: ForeignApp) -> None:
        cdk.CfnResource(stack, "Misspelt", type="AWS::SNS::Topic", properties={"DisplayNam": "x"})

    with pytest.raises(AssertionError, match="DisplayNam"):
        synth_alone(misspelt)


def test_a_report_without_nag_is_not_taken_for_a_clean_one() -> None:
    with pytest.raises(ValueError, match="unpack"):
        assert_nag_looked({"pluginReports": []})


def test_a_foreign_app_without_a_block_is_clean() -> None:
    assert set(synth_alone(lambda _stack, _theirs: None)["Resources"]) == {"TheirKeyEA5ADB29"}
