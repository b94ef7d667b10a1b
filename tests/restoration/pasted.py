"""A pgbackrest.conf as a node has it."""

FILE = """\
# ledger, node n2: made by Storekeeper for pgBackRest 2.45 or newer.
# Save as /etc/pgbackrest/ledger-7q4t/pgbackrest.conf, owner root, group dba, mode 0640: it holds secrets.
# Leave it as it is: its SHA-256 tells the console whether it is up to date.
# Backups are made by cron or timers: full 0 1 * * 0; incr 0 1 * * 1-6.
[global]
process-max=4
archive-push-queue-max=8GiB

# archive-dub, eu-west-1
repo1-type=s3
repo1-path=/c-abcdefghijka/n1
repo1-s3-bucket=pgbk-one
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=first=with=signs

repo3-path=/c-abcdefghijka/r3/n1
repo3-cipher-pass=third

[ledger]
pg1-path=/var/lib/postgresql/15/main
pg1-port=5433
"""
