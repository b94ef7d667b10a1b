"""Rules over two tables, which no constraint can express: triggers, for PostgreSQL and for SQLite.

SQLite makes a table anew to change it, and cannot while a trigger speaks of it: such a migration of stores_store,
clusters_cluster or clusters_attachment runs backwards() before, and forwards() after.
"""


SAME_ACCOUNT = """
    SELECT 1 FROM stores_store s JOIN clusters_cluster c ON c.cloud_account_id = s.cloud_account_id
    WHERE s.id = NEW.store_id AND c.id = NEW.cluster_id AND s.state = 'available'
"""
ATTACHED = "SELECT 1 FROM clusters_attachment a WHERE a.store_id = NEW.id"
ONLY_AVAILABLE = "only_an_available_store_of_the_same_account_is_attached"
NOT_DELETED = "an_attached_store_is_not_deleted"

POSTGRESQL = (
    # FOR SHARE: the store's state cannot change until the attachment is committed.
    f"""
    CREATE FUNCTION {ONLY_AVAILABLE}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM 1 FROM ({SAME_ACCOUNT} FOR SHARE OF s) AS found;
      IF NOT FOUND THEN RAISE EXCEPTION '{ONLY_AVAILABLE}' USING ERRCODE = 'check_violation'; END IF;
      RETURN NEW;
    END $$""",
    f"""
    CREATE TRIGGER {ONLY_AVAILABLE} BEFORE INSERT OR UPDATE OF store_id, cluster_id ON clusters_attachment
    FOR EACH ROW EXECUTE FUNCTION {ONLY_AVAILABLE}()""",
    f"""
    CREATE FUNCTION {NOT_DELETED}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS ({ATTACHED}) THEN RAISE EXCEPTION '{NOT_DELETED}' USING ERRCODE = 'check_violation'; END IF;
      RETURN NEW;
    END $$""",
    f"""
    CREATE TRIGGER {NOT_DELETED} BEFORE UPDATE OF state ON stores_store
    FOR EACH ROW WHEN (NEW.state = 'deleting') EXECUTE FUNCTION {NOT_DELETED}()""",
)
SQLITE = (
    f"""
    CREATE TRIGGER {ONLY_AVAILABLE} BEFORE INSERT ON clusters_attachment
    WHEN NOT EXISTS ({SAME_ACCOUNT}) BEGIN SELECT RAISE(ABORT, '{ONLY_AVAILABLE}'); END""",
    f"""
    CREATE TRIGGER {NOT_DELETED} BEFORE UPDATE OF state ON stores_store
    WHEN NEW.state = 'deleting' AND EXISTS ({ATTACHED}) BEGIN SELECT RAISE(ABORT, '{NOT_DELETED}'); END""",
)
POSTGRESQL_BACK = (
    f"DROP TRIGGER {ONLY_AVAILABLE} ON clusters_attachment",
    f"DROP FUNCTION {ONLY_AVAILABLE}()",
    f"DROP TRIGGER {NOT_DELETED} ON stores_store",
    f"DROP FUNCTION {NOT_DELETED}()",
)
SQLITE_BACK = (f"DROP TRIGGER {ONLY_AVAILABLE}", f"DROP TRIGGER {NOT_DELETED}")


def forwards(apps, editor):
    for statement in POSTGRESQL if editor.connection.vendor == "postgresql" else SQLITE:
        editor.execute(statement)


def backwards(apps, editor):
    for statement in POSTGRESQL_BACK if editor.connection.vendor == "postgresql" else SQLITE_BACK:
        editor.execute(statement)
