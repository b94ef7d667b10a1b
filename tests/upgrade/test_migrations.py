"""Migrations: those of a release are never edited, and those after it are such that its code goes on working."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from console.web.schema import AddIndexOnline
from tests.upgrade import additive, frozen


def test_no_migration_of_a_release_is_edited_or_gone():
    now = frozen.on_disk()
    changed = [path for path, digest in frozen.frozen().items() if now.get(path) != digest]
    assert changed == [], "a released migration is never edited: write another one"


def test_migrations_since_the_release_leave_its_code_working():
    loader = MigrationLoader(None)
    new = {
        (path.split("/")[-3], path.split("/")[-1].removesuffix(".py"))
        for path in frozen.on_disk().keys() - frozen.frozen().keys()
    }
    found, state = [], ProjectState(real_apps=loader.unmigrated_apps)
    for key in loader.graph._generate_plan(loader.graph.leaf_nodes(), at_end=True):
        migration = loader.graph.nodes[key]
        if key in new:
            found += [f"{key[0]}.{key[1]}: {one}" for one in additive.problems(migration, state)]
        else:
            state = migration.mutate_state(state, preserve=False)
    assert found == []


def before():
    state = ProjectState()
    fields = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=20)),
        ("note", models.CharField(max_length=20, null=True)),
        ("kept", models.CharField(max_length=20, db_default="")),
    ]
    state.add_model(ModelState("stores", "Thing", fields))
    return state


CONSTRAINT = models.CheckConstraint(condition=~models.Q(name=""), name="named")
INDEX = models.Index(fields=["name"], name="by_name")
REFUSED = [
    (migrations.RemoveField("thing", "name"), "still reads and writes"),
    (migrations.RenameField("thing", "name", "title"), "by its old name"),
    (migrations.DeleteModel("Thing"), "still reads and writes"),
    (migrations.RenameModel("Thing", "Object"), "by its old name"),
    (migrations.AlterModelTable("thing", "object"), "by its old name"),
    (migrations.AddField("thing", "size", models.IntegerField(default=0)), "db_default"),
    (migrations.AddField("thing", "size", models.IntegerField(db_default=0, unique=True)), "unique"),
    (migrations.AlterField("thing", "name", models.CharField(max_length=10)), "longer"),
    (migrations.AlterField("thing", "name", models.CharField(max_length=20, unique=True)), "not unique"),
    (migrations.AlterField("thing", "name", models.IntegerField()), "becomes a IntegerField"),
    (migrations.AlterField("thing", "note", models.CharField(max_length=20)), "NULL"),
    (migrations.AlterField("thing", "kept", models.CharField(max_length=20)), "db_default"),
    (migrations.AddIndex("thing", INDEX), "AddIndexOnline"),
    (AddIndexConcurrently("thing", INDEX), "AddIndexOnline"),
    (AddIndexOnline("thing", INDEX), "atomic = False"),
    (migrations.AddConstraint("thing", CONSTRAINT), "SURVIVES"),
    (migrations.AlterUniqueTogether("thing", {("name", "note")}), "use a constraint"),
    (migrations.RunPython(lambda *_: None), "reverse_code"),
    (migrations.RunSQL("SELECT 1"), "reverse_sql"),
]
TAKEN = [
    migrations.AddField("thing", "size", models.IntegerField(default=0, db_default=0)),
    migrations.AddField("thing", "size", models.IntegerField(null=True)),
    migrations.AlterField("thing", "name", models.CharField(max_length=30)),
    migrations.AlterField("thing", "name", models.TextField()),
    migrations.AlterField("thing", "name", models.CharField(max_length=20, null=True)),
    migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField())]),
    migrations.RunPython(lambda *_: None, migrations.RunPython.noop),
    migrations.RunSQL("SELECT 1", migrations.RunSQL.noop),
    migrations.RemoveConstraint("thing", "named"),
]


def looked_at(*operations, atomic=True):
    state = before()
    state.models["stores", "thing"].options["constraints"] = [CONSTRAINT] * (operations[0] is TAKEN[-1])
    migration = SimpleNamespace(app_label="stores", atomic=atomic, operations=operations, __module__=__name__)
    return [*additive.problems(migration, state)]


@pytest.mark.parametrize(("operation", "words"), REFUSED)
def test_what_the_earlier_code_does_not_survive_is_refused(operation, words):
    [found] = looked_at(operation)
    assert words in found


@pytest.mark.parametrize("operation", TAKEN)
def test_what_the_earlier_code_survives_is_taken(operation):
    assert looked_at(operation) == []


def test_an_index_of_its_own_migration_or_of_a_new_table_is_taken():
    assert looked_at(AddIndexOnline("thing", INDEX), atomic=False) == []
    other = migrations.CreateModel(
        "Other", [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField())]
    )
    assert looked_at(other, migrations.AddIndex("other", models.Index(fields=["n"], name="by_n"))) == []


def test_why_a_constraint_survives_can_be_said(monkeypatch):
    monkeypatch.setitem(
        globals(), "SURVIVES", {migrations.AddConstraint("thing", CONSTRAINT).describe(): "it never did"}
    )
    assert looked_at(migrations.AddConstraint("thing", CONSTRAINT)) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_an_index_is_made_online_and_taken_away_on_either_database():
    state = ProjectState.from_apps(apps)
    after = state.clone()
    made = AddIndexOnline("organisation", models.Index(fields=["edition"], name="of_this_test"))
    made.state_forwards("accounts", after)

    def there():
        with connection.cursor() as cursor:
            return "of_this_test" in connection.introspection.get_constraints(cursor, "accounts_organisation")

    for _again in range(2):  # the second time on PostgreSQL as after an interruption
        with connection.schema_editor(atomic=False) as editor:
            made.database_forwards("accounts", editor, state, after)
        assert there()
        if connection.vendor != "postgresql":
            break
    with connection.schema_editor(atomic=False) as editor:
        made.database_backwards("accounts", editor, after, state)
    assert not there()
