"""What all stacks of an environment share: its name, its account, its zones, its tags."""

from __future__ import annotations

from functools import cached_property

import aws_cdk as cdk
import jsii
from aws_cdk import aws_kms as kms
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from constructs import IValidation

from blueprint.environment import Environment
from blueprint.parts import Protection
from building_blocks.database import APP_USER

ZONES = 3
EVERYBODY = "0.0.0.0/0"
EMPTY = "A stack that its stage does not need is empty, and the CLI skips or deletes it."
ACCEPTED = {
    "W9003": "CDK writes a size as a number where the schema has a string; CloudFormation takes both.",
    "W9010": "The image is pinned on purpose: no deployment may replace a host by surprise.",
    "W3010": "Zones are named on purpose: the address plan is fixed for life.",
}


class BlueprintStack(cdk.Stack):
    """A stack called `<environment>-<role>` in the environment's account and region."""

    def __init__(
        self,
        app: cdk.App,
        role: str,
        *,
        environment: Environment,
        protection: Protection,
        description: str,
        region: str | None = None,
        may_be_empty: bool = False,
    ) -> None:
        self._environment, self._protection = environment, protection
        super().__init__(
            app,
            f"{environment.name}-{role}",
            env=cdk.Environment(account=environment.account, region=region or environment.region),
            description=description,
            # Stack tags: CloudFormation puts them on every resource, and templates stay free of them.
            tags=_tags(environment, protection),
            # A stack that a stage can leave empty must stay deletable, or a move down would stop there.
            termination_protection=protection.deletion_protection and not may_be_empty,
        )
        self.node.add_validation(_DescribedOutputs(self))
        accepted = ACCEPTED | ({"F0001": EMPTY} if may_be_empty else {})
        for rule, reason in accepted.items():
            cdk.Validations.of(self).acknowledge(
                cdk.Acknowledgment(id=f"CloudFormation-Validate::{rule}", reason=reason)
            )

    @property
    def availability_zones(self) -> list[str]:
        """The environment's own zones, fixed for life: the address plan hangs on them."""
        return list(self._environment.zones) or [cdk.Fn.select(number, cdk.Fn.get_azs()) for number in range(ZONES)]

    def borrow_key(self, key: kms.IKey) -> kms.IKey:
        """The environment's key, for use here; its policy is complete and stays as it is."""
        return kms.Key.from_key_arn(self, "Key", key.key_arn)

    def borrow_logs(self, bucket: s3.IBucket) -> s3.IBucket:
        """The environment's bucket for access logs, for use here; its policy is complete and stays as it is."""
        return s3.Bucket.from_bucket_name(self, "AccessLogs", bucket.bucket_name)

    @cached_property
    def zone(self) -> route53.IHostedZone:
        """The hosted zone that the environment names; nothing is looked up."""
        domain, zone_id = self._environment.domain, self._environment.hosted_zone_id
        assert domain is not None
        assert zone_id is not None
        return route53.HostedZone.from_hosted_zone_attributes(self, "Zone", hosted_zone_id=zone_id, zone_name=domain)

    def database_user(self, resource_id: str) -> str:
        """The application's login on a database, as IAM names it."""
        return self.format_arn(
            service="rds-db",
            resource="dbuser",
            resource_name=f"{resource_id}/{APP_USER}",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def lend(self, name: str, value: str, *, description: str) -> str:
        """A value for younger stacks that does not hold this one back: they read it weakly."""
        cdk.CfnOutput(self, name, value=value, description=description)
        return cdk.Fn.get_stack_output(self.stack_name, name, self.region)


def _tags(environment: Environment, protection: Protection) -> dict[str, str]:
    # The home region too: the stack in us-east-1 would be shared by environments of one name in two regions.
    tags = {"shop:environment": environment.name, "shop:region": environment.region, **environment.tags}
    if protection.time_to_live_days is not None:
        tags["shop:time-to-live"] = f"{protection.time_to_live_days} days from the creation of the stack"
    return tags


@jsii.implements(IValidation)
class _DescribedOutputs:
    """Says what the outputs are that CDK adds for other stacks. Validation is the last step before writing."""

    def __init__(self, stack: cdk.Stack) -> None:
        self._stack = stack

    def validate(self) -> list[str]:
        for name in ("Exports", "Publish"):
            scope = self._stack.node.try_find_child(name)
            for output in scope.node.children if scope else []:
                if isinstance(output, cdk.CfnOutput) and not output.description:
                    output.description = "Read by a younger stack of this environment"
        return []
