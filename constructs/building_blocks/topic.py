"""What happened, told once: everybody who has to act on it gets a copy."""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct


class EventTopic(Construct):
    """The one topic for events. An event is JSON with `id`, `type` and `version`; publishers are let in by IAM."""

    def __init__(self, scope: Construct, construct_id: str, *, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(self, "Topic", display_name="Events", master_key=key, enforce_ssl=True)
