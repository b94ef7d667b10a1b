"""The options of pgBackRest, by its own table (build/config.yaml of 2.60), which knows former names, too. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["bool", "int", "size", "time", "path", "list", "hash", ""]  # "": text
Group = Literal["repo", "pg", ""]  # whose options have a number: repo1-path, pg2-host
SECRET = frozenset(
    {
        "repo-cipher-pass",
        "repo-azure-key",
        "repo-gcs-key",
        "repo-s3-key",
        "repo-s3-key-secret",
        "repo-s3-sse-customer-key",
        "repo-s3-token",
        "repo-sftp-private-key-passphrase",
    }
)
# What pgBackRest shows and people put passwords into: a standby's primary_conninfo, a program with its arguments.
HIDDEN = frozenset({"recovery-option", "repo-s3-process-cmd"})

NEGATED = frozenset({"config"})  # beside all that are y or n


@dataclass(frozen=True)
class Option:
    """An option that pgBackRest knows."""

    name: str  # without a number, such as repo-path
    kind: Kind
    group: Group = ""
    of_stanza: bool = False  # in [global] it is ignored
    of_command_line: bool = False  # in a file it is ignored

    @property
    def is_many(self) -> bool:
        """Return whether a section may have it more than once."""
        return self.kind in {"list", "hash"}

    def refuses(self, negation: str) -> bool:
        """Return whether pgBackRest stops at the option with "no-" or "reset-" before it, which it else ignores."""
        if negation == "reset-":
            return self.of_command_line
        return self.kind != "bool" and self.name not in NEGATED

    @property
    def is_secret(self) -> bool:
        """Return whether its value is a secret."""
        return self.name in SECRET

    @property
    def is_hidden(self) -> bool:
        """Return whether no page shows its value: it is a secret, or may hold one."""
        return self.is_secret or self.name in HIDDEN


_GLOBAL = "global"
_STANZA = "stanza"
_COMMAND_LINE = "command line"
# By where an option may stand, its group and its kind.
_NAMES: tuple[tuple[str, Group, Kind, str], ...] = (
    (
        _COMMAND_LINE,
        "",
        "",
        "archive-expire-before config detail-level output reference set stanza target target-action "
        "target-timeline type exec-id remote-type filter sort",
    ),
    (_COMMAND_LINE, "", "path", "config-include-path config-path"),
    (
        _COMMAND_LINE,
        "",
        "bool",
        "dry-run force help oldest online report target-exclusive verbose version ignore-missing raw recurse",
    ),
    (_COMMAND_LINE, "", "int", "process pg repo"),
    (_COMMAND_LINE, "", "list", "lock"),
    (
        _GLOBAL,
        "",
        "bool",
        "allow-root beta compress delta neutral-umask sck-block sck-keep-alive log-subprocess log-timestamp "
        "archive-async archive-header-check archive-missing-retry archive-check archive-copy "
        "archive-mode-check checksum-page page-header-check expire-auto resume start-fast stop-auto link-all",
    ),
    (_GLOBAL, "", "time", "archive-timeout io-timeout job-retry-interval protocol-timeout db-timeout"),
    (
        _GLOBAL,
        "",
        "size",
        "buffer-size archive-get-queue-max archive-push-batch-size archive-push-queue-max manifest-save-threshold",
    ),
    (
        _GLOBAL,
        "",
        "",
        "cmd cmd-ssh compress-type tls-cipher-12 tls-cipher-13 log-level-console log-level-file "
        "log-level-stderr backup-standby archive-mode tablespace-map-all tls-server-address repo-target-time",
    ),
    (
        _GLOBAL,
        "",
        "int",
        "compress-level compress-level-network job-retry priority process-max tcp-keep-alive-count "
        "tcp-keep-alive-idle tcp-keep-alive-interval tls-server-port",
    ),
    (_GLOBAL, "", "path", "lock-path spool-path log-path tls-server-ca-file tls-server-cert-file tls-server-key-file"),
    (_GLOBAL, "", "hash", "annotation link-map tablespace-map recovery-option tls-server-auth"),
    (_GLOBAL, "", "list", "exclude db-exclude db-include"),
    (_STANZA, "pg", "path", "path host-config host-config-include-path host-config-path"),
    (_STANZA, "pg", "bool", "local"),
    (_STANZA, "pg", "", "host host-cmd host-user database socket-path user"),
    (_GLOBAL, "pg", "", "host-type host-cert-file host-key-file host-ca-file host-ca-path"),
    (_STANZA, "pg", "int", "host-port port"),
    (_STANZA, "", "", "pg-version-force"),
    (
        _GLOBAL,
        "repo",
        "",
        "type cipher-type cipher-pass retention-full-type retention-archive-type host host-type "
        "host-cert-file host-key-file host-ca-file host-ca-path host-cmd host-config host-user "
        "storage-ca-file storage-host azure-account azure-container azure-endpoint azure-key azure-key-type "
        "azure-uri-style gcs-bucket gcs-endpoint gcs-key-type gcs-key gcs-user-project s3-bucket s3-endpoint "
        "s3-key-type s3-key s3-key-secret s3-kms-key-id s3-sse-customer-key s3-region s3-role s3-token "
        "s3-service s3-sts-host s3-uri-style sftp-host sftp-host-fingerprint sftp-host-key-check-type "
        "sftp-host-key-hash-type sftp-host-user sftp-private-key-file sftp-private-key-passphrase "
        "sftp-public-key-file",
    ),
    (_GLOBAL, "repo", "path", "path host-config-include-path host-config-path storage-ca-path"),
    (_GLOBAL, "repo", "bool", "hardlink symlink bundle block local storage-verify-tls s3-requester-pays"),
    (
        _GLOBAL,
        "repo",
        "int",
        "retention-full retention-diff retention-archive retention-history host-port storage-port "
        "storage-prefetch sftp-host-port",
    ),
    (
        _GLOBAL,
        "repo",
        "size",
        "bundle-size bundle-limit block-size-super block-size-super-full storage-read-over storage-upload-chunk-size",
    ),
    (_GLOBAL, "repo", "hash", "block-size-map block-age-map block-checksum-size-map storage-tag"),
    (_GLOBAL, "repo", "list", "s3-process-cmd sftp-known-host"),
)


def _all() -> dict[str, Option]:
    return {
        name: Option(name, kind, group, where == _STANZA, where == _COMMAND_LINE)
        for where, group, kind, names in _NAMES
        for name in (f"{group}-{one}" if group else one for one in names.split())
    }


OPTIONS = MappingProxyType(_all())
# Former names, each as it is written: "?" stands for a number, and without one it is number 1.
FORMER = MappingProxyType(
    {
        "archive-queue-max": "archive-push-queue-max",
        "db-path": "pg-path",
        "db?-path": "pg-path",
        "db-host": "pg-host",
        "db?-host": "pg-host",
        "db-cmd": "pg-host-cmd",
        "db?-cmd": "pg-host-cmd",
        "db-config": "pg-host-config",
        "db?-config": "pg-host-config",
        "db-ssh-port": "pg-host-port",
        "db?-ssh-port": "pg-host-port",
        "db-user": "pg-host-user",
        "db?-user": "pg-host-user",
        "db-port": "pg-port",
        "db?-port": "pg-port",
        "db-socket-path": "pg-socket-path",
        "db?-socket-path": "pg-socket-path",
        "repo-type": "repo-type",
        "repo-path": "repo-path",
        "repo-cipher-type": "repo-cipher-type",
        "repo-cipher-pass": "repo-cipher-pass",
        "hardlink": "repo-hardlink",
        "retention-full": "repo-retention-full",
        "retention-diff": "repo-retention-diff",
        "retention-archive-type": "repo-retention-archive-type",
        "retention-archive": "repo-retention-archive",
        "backup-host": "repo-host",
        "backup-cmd": "repo-host-cmd",
        "backup-config": "repo-host-config",
        "backup-ssh-port": "repo-host-port",
        "backup-user": "repo-host-user",
        "repo-s3-verify-ssl": "repo-storage-verify-tls",
        "repo?-azure-verify-tls": "repo-storage-verify-tls",
        "repo?-s3-verify-ssl": "repo-storage-verify-tls",
        "repo?-s3-verify-tls": "repo-storage-verify-tls",
        "repo-s3-ca-file": "repo-storage-ca-file",
        "repo?-azure-ca-file": "repo-storage-ca-file",
        "repo?-s3-ca-file": "repo-storage-ca-file",
        "repo-s3-ca-path": "repo-storage-ca-path",
        "repo?-azure-ca-path": "repo-storage-ca-path",
        "repo?-s3-ca-path": "repo-storage-ca-path",
        "repo-s3-host": "repo-storage-host",
        "repo?-azure-host": "repo-storage-host",
        "repo?-s3-host": "repo-storage-host",
        "repo?-azure-port": "repo-storage-port",
        "repo?-s3-port": "repo-storage-port",
        "repo-s3-bucket": "repo-s3-bucket",
        "repo-s3-endpoint": "repo-s3-endpoint",
        "repo-s3-key": "repo-s3-key",
        "repo-s3-key-secret": "repo-s3-key-secret",
        "repo-s3-region": "repo-s3-region",
    }
)

# Of a repository, without repoN-: how it is reached and opened, which is the store's and its cluster's now.
ACCESS = re.compile(
    r"type|path|cipher-(?:type|pass)|local|host(?:-.*)?"
    r"|s3-(?:bucket|endpoint|region|key|key-secret|key-type|token|role|process-cmd|service|sts-host|uri-style)"
    r"|azure-.*|gcs-(?:bucket|endpoint|key|key-type)|sftp-.*|storage-(?:host|port|verify-tls|ca-file|ca-path)"
)
BUCKETS = {"s3": "s3-bucket", "azure": "azure-account", "gcs": "gcs-bucket"}  # that name a store's bucket, by type
CONTAINERS = {"azure": "azure-container"}  # that are below the bucket, by type
ENDPOINTS = {"s3": "s3-endpoint"}  # that name the server, by type, where there are others than the cloud's own
CUSTOMER_KEY = "s3-sse-customer-key"
SIGNS_IN = frozenset({"repo-s3-role", "repo-s3-token", "repo-s3-process-cmd"})
