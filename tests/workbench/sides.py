"""Sides of a comparison with nothing but their templates, for aspects that ask for no more; and values of any shape."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import strategies as st

from tests.workbench.handmade import lone
from workbench.compare.model import Facts
from workbench.synth import ROOT
from workbench.templates import Assembly
from workbench.templates.reading import System

_FOREIGN = Path(__file__).with_name("foreign")
# Templates that other people have published (set-up fetches them), and those that were written in their manner.
_PUBLISHED = """
good/generic.yaml good/no_value.yaml good/transform/language_extension.yaml
integration/getatt-types.yaml integration/ref-types.yaml
issues/cfn_gather_literal_references.yaml issues/sam_w_conditions.yaml
public/lambda-poller.json public/lambda-poller.yaml public/rds-cluster.yaml
quickstart/config-rules.json quickstart/iam.json quickstart/nat-instance.json quickstart/nist_application.yaml
quickstart/nist_config_rules.yaml quickstart/nist_high_main.yaml quickstart/nist_iam.yaml quickstart/nist_logging.yaml
quickstart/nist_vpc_management.yaml quickstart/nist_vpc_production.yaml quickstart/test.yaml
quickstart/vpc-management.json
"""
PUBLIC = [ROOT / ".peers" / name for name in _PUBLISHED.split()]
FOREIGN = [*sorted(_FOREIGN.glob("*.*")), *PUBLIC]


def side(made: Assembly) -> Facts:
    """What aspects that read templates alone need of one side."""
    return cast(Facts, SimpleNamespace(label="side", assembly=made, system=System(made)))


def of(resources: dict[str, Any]) -> Facts:
    """One stack with these resources."""
    return side(lone(resources))


_PLAIN = st.none() | st.booleans() | st.integers(-2, 70_000) | st.floats() | st.text(max_size=4)
_TELLING = st.sampled_from(
    ["*", "true", "false", "Allow", "Deny", "0.0.0.0/0", "::/0", "10.0.0.0/8", "-1", "tcp", "s3:*", "iam:PassRole",
     "PUBLIC", "A", "KMS", "alias/aws/s3", "arn:aws:iam::123456789012:root", "a.example.com", '{"Statement": 1}', "["]
)  # fmt: skip
_FUNCTIONS = st.sampled_from(
    [
        {"Ref": "One"},
        {"Ref": "AWS::NoValue"},
        {"Ref": "AWS::AccountId"},
        {"Ref": {"Ref": "One"}},
        {"Fn::GetAtt": ["Two", "Arn"]},
        {"Fn::If": 1},
        {"Fn::If": ["Maybe", "*", {"Ref": "AWS::NoValue"}]},
        {"Fn::Join": ["", [1]]},
        {"Fn::Sub": "${One}/*"},
        {"Fn::Sub": ["${a}${b}", {"a": {"Ref": "One"}}]},
        {"Fn::Transform": {"Name": "x"}},
    ]
)


def values(names: list[str]) -> st.SearchStrategy[Any]:
    """Values as a template may have them, right or wrong, with names that aspects look for."""
    keys = st.sampled_from(names) | st.text(max_size=3)
    return st.recursive(
        _PLAIN | _TELLING | _FUNCTIONS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


def templates(
    types: list[str], names: list[str], *shapes: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[Facts]:
    """A few resources of these types with properties of any shape, or of one of the given shapes."""
    properties = st.one_of(st.dictionaries(st.sampled_from(names), values(names), max_size=5), *shapes)
    bodies = st.fixed_dictionaries(
        {"Type": st.sampled_from(types), "Properties": properties},
        optional={"DeletionPolicy": _PLAIN | st.just("Retain"), "UpdateReplacePolicy": _PLAIN | st.just("Snapshot")},
    )
    return st.dictionaries(st.sampled_from(["One", "Two", "Three"]), bodies, max_size=3).map(of)
