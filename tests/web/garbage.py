"""What a setting may be given by mistake, by the kind of setting that it is; of each name that needs more, its own."""

from __future__ import annotations

LONG = "a" * 5000
NEEDED = {
    "SECRET_KEY": "k" * 60,
    "FIELD_ENCRYPTION_KEYS": "9jEtFzJsF8mTz0JZ1Y9Cz6f5bXr1u2Gq0xQ3m3l8Zqk=",
    "DATABASE_URL": "sqlite://:memory:",
}
# Of each kind of reader in console.environment: what none of its settings takes.
KINDS: dict[str, list[str]] = {
    "number": ["", " ", "x", "1.5", "-1", "1e3", "0x10", "\u0661", "99999999999999999999", "1,000", "10 s", LONG],
    "switch": ["x", "yes", "true", "True", "on", "2", "no", "11", LONG],
    "choice": ["", "x", "INFO,DEBUG", "0", LONG],
    "url": ["x", "console.example.org", "ftp://a.example", "https://", "https://a b", "https://a:x", "https://a:99999",
            "https://u:p@a.example", "https://a.example/?q=1", "https://a.example/#x", "https://-", "http:/a",
            "https://[::1", LONG],
    "path": ["x", "./x", "~/x", "../x", "\\x", f"/{LONG}"],
    "pattern": [LONG],
    "list": [LONG],
    "email": ["", "x", "a@", "@b", "a@b@c", "a@b.example, c@d.example", "<a@b.example", LONG],
    "certificates": ["x", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----",
                     "a" * 300_000],
    "database": ["", "x", "name", "postgres://", "postgres://h", "postgres://h/", "mysql://u:hidden@h/n",
                 "postgres://u:hidden@h:x/n",
                 "postgres://u:hidden@h:99999/n", "postgres://u:hidden/x@h/n#", "//u:hidden@h/n",
                 "postgres://u@h/" + "n" * 64,
                 "sqlite", "http://u:hidden@h/n", "postgres://u:hid[den@h/n", LONG],
    "broker": ["", "x", "127.0.0.1:6379", "redis://", "redis://:hidden@h:x/0", "redis://h:99999", "redis://h/x", "redis://h/0/1",
               "valkey://h/0", "amqp://u:hidden@h//", "http://h", "unix://", "redis://h:0/0", LONG],
    "text": [LONG],
}  # fmt: skip
# Of single settings, beside what their kind refuses.
NAMES: dict[str, list[str]] = {
    "SECRET_KEY": ["", " "],
    "FIELD_ENCRYPTION_KEYS": ["", "x", "9jEtFzJsF8mTz0JZ1Y9Cz6f5bXr1u2Gq0xQ3m3l8Zqk",
                              NEEDED["FIELD_ENCRYPTION_KEYS"] + ",x"],
    "ALLOWED_HOSTS": ["", ",", "https://console.example.org", "console.example.org:8000", "a b", "a/b", "-",
                      "console.example.org;b"],
    "CSRF_TRUSTED_ORIGINS": [",", "console.example.org", "https://a.example/path", "https://", "https://a.example b",
                             "*"],
    "S3_ENDPOINTS_ALLOWED": [",", "10.0.0.0/99", "10.0.0", "300.0.0.1", "a b", "http://minio", "10.0.0.0/8;minio",
                            "::x", "a/b"],
    "ALERT_ENDPOINTS_ALLOWED": ["10.0.0.0/99", "a b", "http://hooks.internal"],
    "DEADMAN_URL": ["hc-ping.example.org/1", "https://", "ftp://hc-ping.example.org"],
    "TRUSTED_PROXY_COUNT": ["21"],
    "WEB_THREADS": ["0"],
    "EMAIL_PORT": ["0", "65536"],
    "EMAIL_HOST": ["mail example", "smtp://mail.example.org", "mail.example.org:25", "-"],
    "MAP_TILES_URL": ["x", "https://tiles.example.org", "https://tiles.example.org/{z}/{x}.png", "ftp://a/{z}{x}{y}",
                      "https://a/{z}/{x}/{y}'"],
    "AWS_PRINCIPAL": ["x", "*", "123456789012", "arn:aws:iam::CONSOLE-ACCOUNT-ID:root", "arn:aws:s3:::bucket",
                      "arn:aws:iam::123456789012:role/"],
    "METRICS_TOKEN": ["two words", "a\tb", "ü"],
    "VAULT_TOKEN": ["two words", "ü"],
    "VAULT_KEY": ["", "a b", "a/b"],
    "VAULT_MOUNT": ["", "a b", "a?b"],
    "VAULT_NAMESPACE": ["a b", "a?b"],
    "VAULT_CACERT": ["/nonexistent/ca.pem", "/etc"],
    "STATIC_ROOT": ["", "/etc/hostname"],
    "PROMETHEUS_MULTIPROC_DIR": ["/nonexistent/of/none", "/etc/hostname"],
    "DEMO_FILE": ["/etc"],
    "OIDC_NAME": ["", " "],
    "OIDC_CLIENT_ID": ["", "a b"],
    "OIDC_CLIENT_SECRET": ["", " "],
    "LOG_LEVEL": ["LOUD", "10"],
    "LOG_FORMAT": ["xml"],
}  # fmt: skip
# What has to be set for a name to be read at all.
OIDC = {"OIDC_ISSUER": "https://id.example.org", "OIDC_CLIENT_ID": "console", "OIDC_CLIENT_SECRET": "secret"}
WITH = {"OIDC_ISSUER": OIDC, "OIDC_CLIENT_ID": OIDC, "OIDC_CLIENT_SECRET": OIDC}
# A line break, which would end a header or a line of a log; in a file too, since the environment can hold no NUL.
UNPRINTED = ["a\nb", "a\x1bb", "a\u202eb"]
RIGHT: dict[str, list[str]] = {
    "number": ["1"], "switch": ["1", "0", ""], "url": ["", "https://a.example", "https://a.example:8443/path", "http://[::1]:80"],
    "path": ["/tmp/some/file"], "text": ["", "anything: ünïcode"],
    "email": ["a@b.example", "storekeeper@localhost", "Störe <a@b.example>"],
    "database": ["postgres:///n", "postgres://u:p%40@h:5432/n?sslmode=require", "postgresql://u@%2Frun%2Fpostgresql/n",
                 "postgres://u@[::1]/n", "sqlite:////tmp/n"],
    "broker": ["redis://h", "rediss://:p@h:6380/1?ssl_ca_certs=/x", "unix:///run/vk.sock", "redis+socket:///run/vk.sock",
               "redis://[::1]:6379/0"],
    "certificates": [""],
}  # fmt: skip
# In place of what their kind takes.
RIGHT_NAMES: dict[str, list[str]] = {
    "FIELD_ENCRYPTION_KEYS": [NEEDED["FIELD_ENCRYPTION_KEYS"], f"{NEEDED['FIELD_ENCRYPTION_KEYS']}, vault:v1:abc="],
    "ALLOWED_HOSTS": ["a.example", "a.example, b.example", "*", ".example.org", "[::1]", "127.0.0.1"],
    "CSRF_TRUSTED_ORIGINS": ["", "https://a.example", "https://*.a.example:8443"],
    "S3_ENDPOINTS_ALLOWED": ["", "10.20.0.0/16,minio.internal", "::1", "127.0.0.1,localhost"],
    "ALERT_ENDPOINTS_ALLOWED": ["", "10.20.0.0/16,hooks.internal"],
    "DEADMAN_URL": ["", "https://hc-ping.example.org/1b2c-3d"],
    "AWS_PRINCIPAL": ["", "arn:aws:iam::123456789012:role/path/storekeeper", "arn:aws-cn:iam::123456789012:root"],
    "LOG_LEVEL": ["debug", "INFO"],
    "STATIC_ROOT": ["/tmp/static"],
    "PROMETHEUS_MULTIPROC_DIR": ["/tmp"],
    "VAULT_CACERT": ["/etc/hostname"],
    "MAP_TILES_URL": ["", "https://tiles.example.org/{z}/{x}/{y}.png?key=1"],
}  # fmt: skip
