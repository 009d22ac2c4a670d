"""What must never be lost: files, volume, database, cache and their backups."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk

from blueprint.environment import Environment
from blueprint.parts import Protection
from building_blocks.backups import Backups
from building_blocks.cache import Cache
from building_blocks.data_volume import DataVolume
from building_blocks.database import Database
from building_blocks.files import Files
from building_blocks.network import DATA
from building_blocks.published import publish
from building_blocks.rotation import MasterSecretRotation
from building_blocks.tiers import CACHE_PORT
from stacks.base import BlueprintStack
from stacks.network import NetworkStack

LAMBDAS = Path(__file__).parent.parent / "lambdas"


class DataStack(BlueprintStack):
    """Each store publishes where it is; the hosts read that at run time, so no stack depends on a store's address."""

    def __init__(
        self, app: cdk.App, *, environment: Environment, protection: Protection, network: NetworkStack
    ) -> None:
        super().__init__(
            app,
            "data",
            environment=environment,
            protection=protection,
            description="Files, database, cache and their backups",
        )
        self._network = network
        self._key = self.borrow_key(network.key)
        stage = environment.stage

        logs = self.borrow_logs(network.logs)
        self.files = Files(self, "Files", key=self._key, logs=logs, protection=protection).bucket
        self.files_arn = self.lend("FilesArn", self.files.bucket_arn, description="The files bucket, for rights on it")
        self.files_name = self.lend("FilesName", self.files.bucket_name, description="The files bucket, for its users")
        self._publish("FilesBucket", "files/bucket", self.files.bucket_name, "The bucket for uploads and documents")
        self._backups = Backups(
            self, "Backups", name=environment.name, key=self._key, protection=protection, alerts=network.alerts
        )
        self._backups.include(self.files)
        if stage.server is not None:
            self._volume(stage.server.data_volume_gib)
        self.database_ids: list[str] = []
        self.database_secret_arn: str | None = None
        self.cache_arns: list[str] = []
        self.database = self._database()
        self.cache = self._cache()

    def _volume(self, gib: int) -> None:
        volume = DataVolume(
            self,
            "DataVolume",
            environment_name=self._environment.name,
            gib=gib,
            availability_zone=self.availability_zones[0],
            key=self._key,
            protection=self._protection,
        ).volume
        self._backups.include(volume)

    def _database(self) -> Database | None:
        spec = self._environment.stage.database
        if spec is None:
            return None
        database = Database(
            self,
            "Database",
            spec=spec,
            vpc=self._network.vpc,
            security_group=self._network.tiers.database,
            key=self._key,
            protection=self._protection,
            alerts=self._network.alerts,
        )
        self._backups.include(database.primary)
        MasterSecretRotation(
            self,
            "Rotation",
            secret=database.secret,
            instance=database.primary,
            key=self._key,
            protection=self._protection,
            alerts=self._network.alerts,
            code=LAMBDAS / "rotate_master_secret",
        )
        self.database_ids = [
            self.lend(
                f"{name}Id", str(instance.instance_resource_id), description="A database, for the right to log in"
            )
            for name, instance in database.instances.items()
        ]
        self.database_secret_arn = self.lend(
            "MasterSecretArn", database.secret.secret_arn, description="The master secret, to prepare the database with"
        )
        # Which database is active is not said here: a deployment must never point the application at another one.
        endpoint = database.primary.instance_endpoint
        self._publish("DatabaseEndpoint", "database/managed/endpoint", endpoint.hostname, "The managed database")
        self._publish("DatabasePort", "database/managed/port", cdk.Token.as_string(endpoint.port), "Its port")
        self._publish("DatabaseSecret", "database/managed/secret", database.secret.secret_arn, "Its master secret")
        for number, replica in enumerate(database.replicas, start=1):
            self._publish(
                f"DatabaseReplica{number}",
                f"database/managed/replicas/{number}",
                replica.instance_endpoint.hostname,
                "A copy that answers reads",
            )
        return database

    def _cache(self) -> Cache | None:
        spec = self._environment.stage.cache
        if spec is None:
            return None
        cache = Cache(
            self,
            "Cache",
            spec=spec,
            environment_name=self._environment.name,
            vpc=self._network.vpc,
            subnets=DATA,
            security_group=self._network.tiers.cache,
            key=self._key,
            protection=self._protection,
            alerts=self._network.alerts,
        )
        self.cache_arns = [
            self.lend(name, arn, description="The cache, for the right to log in")
            for name, arn in zip(("CacheArn", "CacheUserArn"), cache.connect_arns, strict=True)
        ]
        self._publish("CacheEndpoint", "cache/endpoint", cache.endpoint, "Where the cache cluster is found")
        self._publish("CachePort", "cache/port", str(CACHE_PORT), "Its port")
        self._publish("CacheName", "cache/name", cache.cluster_name, "The name that login tokens are signed for")
        self._publish("CacheUser", "cache/user", cache.user_name, "The cache user that hosts sign tokens for")
        return cache

    def _publish(self, construct_id: str, path: str, value: str, meaning: str) -> None:
        publish(self, construct_id, path=f"/{self._environment.name}/{path}", value=value, meaning=meaning)
