"""The one place where all stacks of an environment meet."""

from __future__ import annotations

from itertools import pairwise

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from blueprint.environment import Environment
from blueprint.profiles import PROFILES
from stacks.base import BlueprintStack
from stacks.data import DataStack
from stacks.edge import CLOUDFRONT_REGION, EdgeStack, GlobalStack
from stacks.network import NetworkStack
from stacks.signals import SignalsStack
from stacks.web import WebStack
from stacks.workers import WorkersStack


def build(app: cdk.App, environment: Environment) -> None:
    """All stacks of the environment, also those that its stage leaves empty, each after the older ones."""
    protection = PROFILES[environment.profile]
    elsewhere = (
        GlobalStack(app, environment=environment, protection=protection)
        if environment.region != CLOUDFRONT_REGION
        else None
    )
    network = NetworkStack(app, environment=environment, protection=protection)
    data = DataStack(app, environment=environment, protection=protection, network=network)
    web = WebStack(app, environment=environment, protection=protection, network=network, data=data)
    edge = EdgeStack(app, environment=environment, protection=protection, network=network, web=web, elsewhere=elsewhere)
    workers = WorkersStack(app, environment=environment, protection=protection, network=network, data=data, web=web)
    signals = SignalsStack(
        app, environment=environment, protection=protection, data=data, web=web, edge=edge, workers=workers
    )
    chain: list[BlueprintStack] = [network, data, web, edge, workers, signals]
    for stack in chain:
        network.limit_roles_of(stack)
    if elsewhere is not None:
        chain.insert(0, elsewhere)
    # Without a full chain the CLI's order of unrelated stacks differs from run to run.
    for older, younger in pairwise(chain):
        younger.add_stack_dependency(older)
    # At every synthesis, also before a deployment: a finding that nobody has acknowledged with a reason stops it.
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
