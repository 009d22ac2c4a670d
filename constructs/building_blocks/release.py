"""Which version of the application the hosts run."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from building_blocks.published import publish
from building_blocks.vendored import LOCK, Bundle


class Release(Construct):
    """The application's code as an asset, and the one parameter that says which asset is current.

    A folder that locks packages is deployed as a bundle: itself, `lambdas/jobs` beside it as `jobs`, and its packages
    in `lib`. One without is deployed as it is.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, environment_name: str, code: Path, pinned: str | None
    ) -> None:
        super().__init__(scope, construct_id)
        if (code / LOCK).exists():
            bundle = Bundle({code.name: code, "jobs": code.parent / "lambdas" / "jobs"}, packages="lib")
            asset = assets.Asset(
                self, "Code", path=str(code), asset_hash=bundle.fingerprint, bundling=bundle.options(self)
            )
        else:
            asset = assets.Asset(self, "Code", path=str(code), exclude=["__pycache__", "*.pyc"])
        self.bucket_name = asset.s3_bucket_name
        # Going back to an earlier release only means naming it: its asset is still in the bucket.
        key = asset.s3_object_key if pinned is None else f"{pinned}.zip"
        self.url = f"s3://{self.bucket_name}/{key}"
        self.objects_arn = f"arn:{cdk.Stack.of(self).partition}:s3:::{self.bucket_name}/*"
        publish(
            self,
            "Current",
            path=f"/{environment_name}/release",
            value=self.url,
            meaning="The release that hosts run; they follow a change",
        )
