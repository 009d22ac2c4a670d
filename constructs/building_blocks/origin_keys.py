"""What the edge proves itself with to the load balancer: numbered keys, of which the newest two are accepted."""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge
from building_blocks.keeping import keep


class OriginKeys(Construct):
    """Generated keys; raising `newest` by one rotates them, with the one before still good meanwhile."""

    def __init__(
        self, scope: Construct, construct_id: str, *, newest: int, key: kms.IKey, protection: Protection
    ) -> None:
        super().__init__(scope, construct_id)
        self.secrets = [
            secretsmanager.Secret(
                self,
                f"Generation{number}",
                description="The header that proves that a request came through the edge",
                encryption_key=key,
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    exclude_punctuation=True, password_length=40
                ),
            )
            for number in range(max(1, newest - 1), newest + 1)
        ]
        for secret in self.secrets:
            keep(secret, protection)
            acknowledge(
                secret,
                "SMG4",
                because="Rotated by raising the generation: both sides must change in order, old and new overlapping, "
                "which a schedule cannot do.",
            )

    @property
    def accepted(self) -> tuple[str, ...]:
        """The header values that the load balancer takes."""
        return tuple(secret.secret_value.unsafe_unwrap() for secret in self.secrets)

    @property
    def sent(self) -> str:
        """The header value that the edge sends: the newest."""
        return self.accepted[-1]
