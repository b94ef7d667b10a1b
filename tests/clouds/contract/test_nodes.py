"""How nodes get their access, whatever the cloud, and that pgBackRest takes their configuration."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest

from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target
from clusters.pgbackrest.layout import Layout
from tests.clouds import plans
from tests.clouds.contract.running import (
    KILLED_EVERY,
    PREFIX,
    access_to,
    crash,
    emulated,
    make_spec,
    provider_of,
    settled,
    with_keys,
)

pytestmark = pytest.mark.slow


@emulated
def test_granting_converges_after_a_kill_before_any_call(world):
    provider, spec = provider_of(world), replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    untouched, access = world.look(), access_to(spec)
    settled(provider.access.grant, access)
    wanted = world.look()
    assert wanted != untouched
    settled(provider.access.delete, replace(access, buckets=()))
    for nth in range(1, 100, KILLED_EVERY):
        died = crash(provider.access.grant, access, nth)
        settled(provider.access.grant, access)
        assert world.look().keys() == wanted.keys(), nth
        settled(provider.access.revoke, replace(access, buckets=()))
        settled(provider.access.delete, replace(access, buckets=()))
        if not died:
            break
    assert nth > 2


def test_pgbackrest_takes_the_configuration(world, tmp_path):
    provider, spec = provider_of(world), replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    access = access_to(spec)
    access = with_keys(settled(provider.access.grant, access), access)
    repository = provider.access.repository(spec, access)
    target = Target(1, "orders", f"/{PREFIX}/n1", repository, "secret", "time", 14, None, folder=Layout().folder)
    file = tmp_path / "pgbackrest.conf"
    configuration = Configuration(
        "ledger", "n1", BY_NUMBER[""], [target], [StanzaConfiguration("main", 15, "/data", 5432)]
    )
    file.write_text(configuration.render(secrets=True))
    assert all(value in file.read_text() for _, value in repository.options)
    binary = shutil.which("pgbackrest")
    assert binary, "pgBackRest is not installed"
    options = [f"--config={file}", f"--lock-path={tmp_path}", f"--log-path={tmp_path}", "--log-level-console=warn"]
    # It reads every option, and touches nothing but its own lock.
    done = subprocess.run(
        [binary, *options, "--stanza=main", "stop"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    wrong = tmp_path / "wrong.conf"
    wrong.write_text(file.read_text().replace("repo1-bundle=y", "repo1-bundel=y"))
    options[0] = f"--config={wrong}"
    done = subprocess.run(
        [binary, *options, "--stanza=main", "stop"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "repo1-bundel" in done.stdout + done.stderr
