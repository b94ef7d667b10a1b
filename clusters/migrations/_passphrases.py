"""No migration makes a passphrase or loses one: what it encrypted could never be read again."""

from django.db.migrations.exceptions import IrreversibleError


def nothing(apps, editor):
    """There is nothing to do forwards."""


def keep_all(apps, editor):
    """Refuse to drop the table of the repositories while it has any."""
    _refuse(apps.get_model("clusters", "Repository").objects.using(editor.connection.alias).all())


def keep_those_without_cluster(apps, editor):
    """Refuse to go back to where a repository without a cluster could not be kept."""
    _refuse(apps.get_model("clusters", "Repository").objects.using(editor.connection.alias).filter(cluster=None))


def _refuse(repositories):
    if number := repositories.count():
        raise IrreversibleError(
            f"Going back would delete the only copy of {number} passphrase{'s' if number > 1 else ''} that backups are "
            "encrypted with. Take the recovery kits, and let the repositories go in the console, before you try again."
        )
