"""What happens to a resource that holds something, once a template no longer wants it."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct

from blueprint.parts import Protection


def keep(construct: IConstruct, protection: Protection, *, snapshot: bool = False) -> None:
    """Keep the data behind `construct`: a replacement always keeps the old copy, a removal does so where it matters."""
    resource = construct if isinstance(construct, cdk.CfnResource) else construct.node.default_child
    assert isinstance(resource, cdk.CfnResource)
    kept = cdk.CfnDeletionPolicy.SNAPSHOT if snapshot else cdk.CfnDeletionPolicy.RETAIN
    resource.cfn_options.update_replace_policy = kept
    resource.cfn_options.deletion_policy = kept if protection.keep_data else cdk.CfnDeletionPolicy.DELETE
