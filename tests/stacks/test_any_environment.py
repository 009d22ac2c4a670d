"""Whatever environment file is accepted, its templates can be written, at its own stage."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings

from blueprint.environment import load
from tests.blueprint.strategies import valid_environments
from tests.stacks.reading import ROLES, template
from workbench.synth import synth


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(text=valid_environments())
def test_every_valid_environment_can_be_synthesised(text: str) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "any.toml").write_text(text, encoding="utf-8")
        assembly = synth(load("any", folder=Path(folder)), Path(folder) / "assembly", bundle=False)
        for role in ROLES:
            assert template(assembly, role)["Description"]
        assert template(assembly, "network")["Resources"]
