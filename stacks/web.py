"""What answers requests: one host, or a fleet behind a load balancer, and the release they run."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_wafv2 as waf
from constructs import IConstruct

from blueprint.environment import Environment
from blueprint.parts import VISITOR_LIMIT, Protection, SingleServer
from blueprint.parts import Fleet as FleetSpec
from building_blocks.firewall import Firewall
from building_blocks.fleet import Fleet
from building_blocks.host_role import HostRole
from building_blocks.load_balancer import Admission, LoadBalancer
from building_blocks.logs import log_group
from building_blocks.mail import Mail
from building_blocks.origin_keys import OriginKeys
from building_blocks.published import publish
from building_blocks.release import Release
from building_blocks.server import Server
from building_blocks.tiers import HOST_DATABASE_PORT
from stacks import hosts
from stacks.base import BlueprintStack
from stacks.data import DataStack
from stacks.network import NetworkStack


class WebStack(BlueprintStack):
    """Hosts are cattle here at every stage: what they must remember is in the data stack."""

    def __init__(
        self,
        app: cdk.App,
        *,
        environment: Environment,
        protection: Protection,
        network: NetworkStack,
        data: DataStack,
    ) -> None:
        super().__init__(
            app,
            "web",
            environment=environment,
            protection=protection,
            description="The hosts that answer requests, and what stands before them",
        )
        self._network, self._data = network, data
        self._key = self.borrow_key(network.key)
        name, stage = environment.name, environment.stage

        app_logs = log_group(self, "AppLogs", key=self._key, protection=protection)
        publish(self, "AppLogGroup", path=f"/{name}/logs/app", value=app_logs.log_group_name, meaning="The hosts' log")
        self.release = Release(self, "Release", environment_name=name, code=hosts.SHOP, pinned=environment.pins.release)
        self.mail_rules: str | None = None
        self.mail = self._mail()
        self._hosts = HostRole(self, "Hosts", environment_name=name, key=self._key, app_logs=app_logs)
        self.role = self._hosts.role
        self.export_value(self.role.role_name, description="The hosts' role, for rights that younger stacks add")
        self._give_rights()
        hosts.watch_jobs(self, environment_name=name, alerts=network.alerts)

        self.server = self._server(stage.server) if stage.server is not None else None
        self.origin_keys = self._origin_keys() if stage.cdn is not None else None
        self.front = self._front() if stage.fleet is not None else None
        self.fleet = (
            self._fleet(stage.fleet, self.front) if stage.fleet is not None and self.front is not None else None
        )
        if environment.domain is not None:
            self._origin_record(environment.domain)
        self._lend_to_edge()

    def _lend_to_edge(self) -> None:
        """What the edge reads from here, it reads weakly: load balancers come and go."""
        lent: list[IConstruct] = [*self.origin_keys.secrets] if self.origin_keys is not None else []
        if self.front is not None:
            lent.append(self.front.balancer)
        for resource in lent:
            cdk.CrossStackReferences.of(resource).produce(cdk.ReferenceStrength.WEAK)

    def _mail(self) -> Mail:
        """Here, because hosts send while there are no workers."""
        environment = self._environment
        mail = Mail(
            self,
            "Mail",
            environment_name=environment.name,
            domain=environment.domain,
            hosted_zone_id=environment.hosted_zone_id,
            address=environment.alarm_email,
            alerts=self._network.alerts,
        )
        if mail.rules_name is not None:
            self.mail_rules = self.lend("MailRulesName", mail.rules_name, description="The rules that mail is sent by")
        return mail

    def _give_rights(self) -> None:
        role, data = self._hosts, self._data
        role.may_read_objects(
            self.release.objects_arn, because="A host reads whatever release the parameter names; it cannot list them."
        )
        role.may_use_files(data.files_arn)
        # Also beside workers: on the way to them and back, hosts still do or already do the jobs themselves.
        role.may_tell_customers(self.mail.sending_arns)
        if self._environment.stage.server is not None:
            role.may_own_its_database(key=self._key)
        if self._environment.stage.fleet is not None:
            role.may_join_its_fleet()
        if data.database_secret_arn is not None:
            role.may_prepare_database(data.database_secret_arn)
            role.may_connect(
                action="rds-db:connect", arns=[self.database_user(resource_id) for resource_id in data.database_ids]
            )
        if data.cache_arns:
            role.may_connect(action="elasticache:Connect", arns=data.cache_arns)

    def _server(self, spec: SingleServer) -> Server:
        environment, tiers = self._environment, self._network.tiers
        server = Server(
            self,
            "Server",
            spec=spec,
            environment_name=environment.name,
            vpc=self._network.vpc,
            subnet=self._network.vpc.public_subnets[0],  # the zone that the data volume is in
            security_groups=(tiers.edge, tiers.app),
            role=self.role,
            image=hosts.image(environment),
            boot_script=hosts.server_script(environment),
            release_url=self.release.url,
            protection=self._protection,
            alerts=self._network.alerts,
        )
        server.release_runs.node.add_dependency(self.release)  # the host reads the parameter, so that comes first
        path = f"/{environment.name}/database/host"
        address = server.instance.instance_private_ip
        publish(self, "HostDatabase", path=f"{path}/endpoint", value=address, meaning="The PostgreSQL on the host")
        publish(self, "HostDatabasePort", path=f"{path}/port", value=str(HOST_DATABASE_PORT), meaning="Its port")
        return server

    def _front(self) -> LoadBalancer:
        environment = self._environment
        locked = environment.stage.cdn is not None and environment.transition.lock_origin
        names = (environment.domain, f"origin.{environment.domain}") if environment.domain else ()
        hops = 1 if environment.stage.cdn is None else 2
        path = f"/{environment.name}/front/hops"
        publish(self, "FrontHops", path=path, value=str(hops), meaning="Proxies of ours between visitors and hosts")
        if locked:  # the edge may speak HTTP to the load balancer, which would then say that visitors do
            path = f"/{environment.name}/front/scheme"
            publish(self, "FrontScheme", path=path, value="https", meaning="What visitors speak to the edge")
        front = LoadBalancer(
            self,
            "Front",
            vpc=self._network.vpc,
            security_group=self._network.tiers.edge,
            access_logs=self.borrow_logs(self._network.logs),
            certificate=self._certificate(),
            admission=Admission(
                host_names=names,
                origin_keys=self.origin_keys.accepted if self.origin_keys is not None and locked else (),
            ),
            protection=self._protection,
            alerts=self._network.alerts,
        )
        # Behind the edge every request comes from an edge address, so a limit by address belongs there.
        firewall = Firewall(
            self,
            "Firewall",
            scope_name="REGIONAL",
            environment_name=environment.name,
            requests_per_five_minutes=None if environment.stage.cdn is not None else VISITOR_LIMIT,
            key=self._key,
            protection=self._protection,
            alerts=self._network.alerts,
        )
        waf.CfnWebACLAssociation(
            self, "FirewallOfFront", resource_arn=front.balancer.load_balancer_arn, web_acl_arn=firewall.arn
        )
        return front

    def _certificate(self) -> acm.ICertificate | None:
        """For visitors and, from the day there is an edge in front, for its way here; also the origin's own name."""
        environment = self._environment
        if environment.domain is None:
            return None
        return acm.Certificate(
            self,
            "Certificate",
            domain_name=environment.domain,
            subject_alternative_names=[f"origin.{environment.domain}"],
            validation=acm.CertificateValidation.from_dns(self.zone),
        )

    def _origin_keys(self) -> OriginKeys:
        newest = self._environment.pins.origin_key_generation
        return OriginKeys(self, "OriginKeys", newest=newest, key=self._key, protection=self._protection)

    def _fleet(self, spec: FleetSpec, front: LoadBalancer) -> Fleet:
        environment = self._environment
        return Fleet(
            self,
            "Fleet",
            spec=spec,
            vpc=self._network.vpc,
            security_group=self._network.tiers.app,
            role=self.role,
            image=hosts.image(environment),
            boot_script=hosts.fleet_script(environment, release_url=self.release.url),
            front=front,
        )

    def _origin_record(self, domain: str) -> None:
        """Where the hosts are, under one name that changes its target in place; the site's own name leads here."""
        record = route53.CfnRecordSet(
            self,
            "OriginRecord",
            hosted_zone_id=self._environment.hosted_zone_id,
            name=f"origin.{domain}.",
            type="A",
            comment="Where the hosts are: the single one, or the load balancer",
        )
        if self.front is not None and self.fleet is not None:
            # Visitors follow this record, so it waits until the hosts answer and requests are passed on to them.
            record.node.add_dependency(self.fleet.group, self.front.listener)
            record.alias_target = route53.CfnRecordSet.AliasTargetProperty(
                dns_name=self.front.balancer.load_balancer_dns_name,
                hosted_zone_id=self.front.balancer.load_balancer_canonical_hosted_zone_id,
            )
        elif self.server is not None:
            record.resource_records = [self.server.address.ref]
            record.ttl = "60"
