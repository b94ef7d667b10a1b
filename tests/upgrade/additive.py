"""Which steps of a migration the code of the release before does not survive, and why."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from django.db import models
from django.db.migrations import operations as of
from django.db.migrations.state import ProjectState

from console.web.schema import AddIndexOnline

# What takes something away that the earlier code still reads or writes.
GONE = {
    of.RemoveField: "the earlier code still reads and writes it: stop using it in one release, remove it in the next",
    of.RenameField: "the earlier code knows it by its old name: add a field, and fill it",
    of.DeleteModel: "the earlier code still reads and writes it: stop using it in one release, delete it in the next",
    of.RenameModel: "the earlier code knows the table by its old name",
    of.AlterModelTable: "the earlier code knows the table by its old name",
    of.AlterUniqueTogether: "the earlier code may write what it refuses, and the table is locked: use a constraint",
    of.AlterOrderWithRespectTo: "the earlier code does not fill the column",
}


def problems(migration, state: ProjectState) -> Iterator[str]:
    """Yield what is wrong with each operation; `state` is what stands before them, and is moved on.

    A module may say in SURVIVES, by the operation's own description, why one is right all the same.
    """
    made: set[str] = set()
    survives = getattr(import_module(migration.__module__), "SURVIVES", {})
    for operation in migration.operations:
        before = state.clone()
        operation.state_forwards(migration.app_label, state)
        if isinstance(operation, of.CreateModel):
            made.add(operation.name_lower)
        elif getattr(operation, "model_name_lower", None) not in made:
            why = _problem(operation, migration, before, state)
            if why and operation.describe() not in survives:
                yield f"{operation.describe()}: {why}"


def _problem(operation, migration, before, after) -> str:
    for kind, why in GONE.items():
        if isinstance(operation, kind):
            return why
    if isinstance(operation, of.RunPython):
        return "" if operation.reverse_code else "it has no reverse_code: nobody can go back"
    if isinstance(operation, of.RunSQL):
        return "" if operation.reverse_sql is not None else "it has no reverse_sql: nobody can go back"
    if isinstance(operation, AddIndexOnline):
        return (
            "" if not migration.atomic and len(migration.operations) == 1 else "atomic = False, and nothing beside it"
        )
    if isinstance(operation, of.AddIndex):
        return "it locks the table while it is made: AddIndexOnline (console/web/schema.py)"
    if isinstance(operation, of.AddConstraint):
        return "the earlier code may write what it refuses: say in SURVIVES why it does not"
    if isinstance(operation, of.AddField):
        return _added(operation.field)
    if isinstance(operation, of.AlterField):
        key = (migration.app_label, operation.model_name_lower)
        old, new = (one.models[key].fields[operation.name] for one in (before, after))
        return _narrowed(old, new)
    return ""


def _added(field) -> str:
    if field.many_to_many or field.null or field.has_db_default():
        return "it is unique: the earlier code's second row is refused" if field.unique and not field.null else ""
    return "the earlier code writes rows without it: give it a db_default, or let it be null"


def _narrowed(old, new) -> str:
    if old.null and not new.null:
        return "the earlier code may write NULL"
    if new.unique and not old.unique:
        return "the earlier code may write what is not unique"
    if old.has_db_default() and not new.has_db_default():
        return "the earlier code may rely on its db_default"
    kinds = type(old), type(new)
    same = kinds[0] is kinds[1] or (isinstance(old, models.CharField) and kinds[1] is models.TextField)
    if not same:
        return f"it becomes a {kinds[1].__name__}, and the table is written anew under a lock"
    if isinstance(new, models.CharField) and new.max_length and (old.max_length or 10**9) > new.max_length:
        return "the earlier code may write longer ones"
    return ""
