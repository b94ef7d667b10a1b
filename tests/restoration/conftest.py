"""What the tests of copies share: a PostgreSQL with a console's database in it, and a dump of that."""

from __future__ import annotations

import dj_database_url
import pytest

from tests.restoration.copies import LIVE, made_dump


@pytest.fixture(scope="module")
def live(django_db_blocker, migrations):
    """A console's database on a PostgreSQL of its own, as an entry of DATABASES, with a little in it."""
    from django.db import connections

    from console.accounts.models import Organisation, User
    from console.audit.models import AuditEvent
    from console.cloud_accounts.models import CloudAccount
    from tests import postgres

    with postgres.cluster() as server, django_db_blocker.unblock():
        migrations.migrate(server.url)
        live = {**connections["default"].settings_dict, "OPTIONS": {}, **dj_database_url.parse(server.url)}
        connections.databases[LIVE] = live
        acme = Organisation(name="Acme", edition="enterprise")
        acme.save(using=LIVE)
        User(username="alice").save(using=LIVE)
        CloudAccount(organisation=acme, provider_key="aws", name="prod", secrets={"key": "k"}).save(using=LIVE)
        # Nobody is told of it: whom to tell would be looked up in the database of other tests.
        event = AuditEvent(organisation=acme, actor_name="alice", action="Looked", subject="it")
        AuditEvent.objects.using(LIVE).bulk_create([event])
        yield live
        connections[LIVE].close()
        del connections[LIVE], connections.databases[LIVE]


@pytest.fixture(scope="module")
def dump(live, tmp_path_factory):
    """A dump of it, as own-backup.md says to make one."""
    return made_dump(live, tmp_path_factory.mktemp("dumps") / "console.dump")


@pytest.fixture
def dumped(live, tmp_path):
    """A function that makes another dump."""
    return lambda: made_dump(live, tmp_path / "another.dump")
