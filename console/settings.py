"""Django's settings: the only reader of the environment, and says what to set when something is missing."""

from __future__ import annotations

import os
import re
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

BASE_DIR = Path(__file__).resolve().parent.parent


def env(name: str, default: str | None = None, *, hint: str = "") -> str:
    """Return a setting: from the file that NAME_FILE names, the environment, or systemd's credential NAME.

    systemd.exec(5), "Credentials": a service finds those of LoadCredential= and the like as files in a folder.
    """
    if path := os.environ.get(f"{name}_FILE"):
        return _read(name, Path(path))
    if name in os.environ:
        return os.environ[name]
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent", name)
    if credential.is_file():
        return _read(name, credential)
    if default is None:
        where = (
            f"in the environment, or {name}_FILE to a file that holds it, or give systemd's service a credential {name}"
        )
        raise ImproperlyConfigured(f"Set {name} {where}. {hint}")
    return default


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:  # neither of which holds what is in the file
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ImproperlyConfigured(f"{name} cannot be read from {path}: {why}.") from None


def env_list(name: str, default: str = "") -> list[str]:
    """Return a comma-separated setting as a list."""
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


# Commands that build the project need no secrets: `collectstatic` in an image, `makemigrations`, the linters.
BUILDING = len(sys.argv) > 1 and sys.argv[1] in {"collectstatic", "makemigrations", "demo", "help", "--help"}
UNSET = "unset" if BUILDING else None

# Who may talk to us
SECRET_KEY = env("SECRET_KEY", UNSET, hint="Any long random text; it signs sessions and forms.")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
# Where the nodes reach the console, and the certificates that theirs is checked against; "": as whoever takes their
# files does, and those of each machine.
PUBLIC_URL = env("PUBLIC_URL", "").rstrip("/")
PUBLIC_CA = env("PUBLIC_CA", "")
if PUBLIC_URL and not re.fullmatch(r"https?://[^\s/?#@'\"]+(/[^\s?#'\"]*)?", PUBLIC_URL):
    raise ImproperlyConfigured(f"PUBLIC_URL: {PUBLIC_URL} is no address, such as https://console.example.org.")
if PUBLIC_CA and not PUBLIC_CA.startswith("-----BEGIN CERTIFICATE-----"):
    raise ImproperlyConfigured("PUBLIC_CA holds no certificates in PEM, such as PUBLIC_CA_FILE=/etc/ssl/our-ca.pem.")
# Newest first: the first encrypts, all decrypt.
FIELD_ENCRYPTION_KEYS = env(
    "FIELD_ENCRYPTION_KEYS", UNSET, hint="Comma-separated Fernet keys, newest first (console/deploy/keys.md)."
).split(",")
# Whoever unwraps those that begin with vault:, when the first of them is needed (console.accounts.vault).
VAULT_ADDR, VAULT_TOKEN = env("VAULT_ADDR", "").rstrip("/"), env("VAULT_TOKEN", "")
VAULT_KEY, VAULT_MOUNT = env("VAULT_KEY", "storekeeper"), env("VAULT_MOUNT", "transit")
VAULT_NAMESPACE, VAULT_CACERT = env("VAULT_NAMESPACE", ""), env("VAULT_CACERT", "")
DEBUG = env("DEBUG", "") == "1"
# Where the demo wrote who may sign in; empty in every real deployment.
DEMO_FILE = env("DEMO_FILE", "")
# How many proxies of the operator's stand in front: so many of the last entries of X-Forwarded-For are believed.
TRUSTED_PROXY_COUNT = int(env("TRUSTED_PROXY_COUNT", "0"))
WEB_THREADS = int(env("WEB_THREADS", "16"))  # requests that one process of the web server works on at once
METRICS_TOKEN = env("METRICS_TOKEN", "")  # without one there is no /metrics
INSECURE_HTTP = env("INSECURE_HTTP", "") == "1"  # the demo and local development: no TLS in front

# What it is made of
ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
INSTALLED_APPS = [
    "console.accounts",
    "console.audit",
    "console.operations",
    "console.cloud_accounts",
    "stores",
    "clusters",
    "console.accounts.apps.SupportAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "django_htmx",
    "template_partials.apps.SimpleAppConfig",  # its tags, without its loader: the loader is set below
]
# The demo is an app for its own two commands alone: no process that serves, works or schedules loads it.
if sys.argv[1:2] in (["demo"], ["demo_data"]):
    INSTALLED_APPS.append("console.demo")
MIDDLEWARE = [
    "console.web.middleware.request_origin",
    "django.middleware.security.SecurityMiddleware",
    "console.web.middleware.headers",
    "console.web.middleware.limits",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # pages; pads at random against BREACH
    "console.web.middleware.well_formed",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "console.accounts.access.idle",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.web.middleware.flash_messages",
    "console.accounts.access.membership",
    "console.accounts.impersonation.read_only",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": [
                "template_partials.templatetags.partials",
                "django.templatetags.static",
                "django.contrib.humanize.templatetags.humanize",
                "django_htmx.templatetags.django_htmx",
                "console.web.template_tags",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.web.pages.page",
                "clusters.navigation.pane",
            ],
        },
    }
]

# Where things are kept
DATABASES = {
    "default": dj_database_url.parse(
        env("DATABASE_URL", "sqlite://:memory:" if BUILDING else None, hint="postgres://user:password@host/name"),
        conn_max_age=600,
        conn_health_checks=True,
    )
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Many short writers at once (16 worker threads): wait for the lock as a transaction starts, not in its middle.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# E-mail, for invitations; without a host none is sent, and links are handed over by hand.
EMAIL_HOST = env("EMAIL_HOST", "")
EMAIL_PORT = int(env("EMAIL_PORT", "587"))
EMAIL_HOST_USER = env("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env("EMAIL_TLS", "1") == "1"
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env("EMAIL_FROM", "storekeeper@localhost")
# Where linked S3 servers may be beside public addresses: CIDRs, addresses, or names with all names below them.
S3_ENDPOINTS_ALLOWED = env_list("S3_ENDPOINTS_ALLOWED")
for entry in S3_ENDPOINTS_ALLOWED:
    if "/" in entry:
        try:
            ip_network(entry, strict=False)
        except ValueError as error:
            raise ImproperlyConfigured(f"S3_ENDPOINTS_ALLOWED: {entry} is no network, such as 10.20.0.0/16.") from error
REDIS_URL = env("REDIS_URL", "redis://127.0.0.1:6379/0")

# Work that goes on without a browser
LEASE_SECONDS = 20  # an operation whose worker has not renewed its lease for so long is taken up by another
# The certificate is verified unless the address says otherwise: kombu, unlike redis-py, takes any where it is not told.
CELERY_BROKER_URL = REDIS_URL
if REDIS_URL.startswith("rediss://") and "ssl_cert_reqs=" not in REDIS_URL:
    CELERY_BROKER_URL += f"{'&' if '?' in REDIS_URL else '?'}ssl_cert_reqs=required"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A broker that is down must not hold up the page: the sweep finds what could not be sent.
    "socket_connect_timeout": 1,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "socket_timeout": 5,
    "visibility_timeout": 600,
    "unacked_restore_interval": 5,
    "queue_order_strategy": "sorted",
}
CELERY_TASK_PUBLISH_RETRY = False
# What somebody waits for goes before hundreds of snapshots: of the queues, a worker takes the first by name.
CELERY_TASK_QUEUES = [Queue("celery"), Queue("snapshots")]
CELERY_BEAT_SCHEDULE = {
    "resume-stalled": {"task": "console.operations.tasks.resume_stalled", "schedule": 3.0, "options": {"expires": 3}},
    "renew-keys": {"task": "clusters.tasks.renew_keys", "schedule": 3600.0, "options": {"expires": 600}},
    "end-replaced-keys": {
        "task": "clusters.tasks.end_replaced_keys",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "read-due": {"task": "console.operations.tasks.read_due", "schedule": 30.0, "options": {"expires": 20}},
}

# Signing in
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "CommonPasswordValidator")
] + [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "console.accounts.passwords.StrengthValidator"},
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_AGE = 12 * 3600  # seconds: a day of work
SESSION_IDLE_SECONDS = int(env("SESSION_IDLE_MINUTES", "30")) * 60  # after so long without a request it ends; 0: never
ACCOUNT_ADAPTER = "console.accounts.sign_in.Accounts"
ACCOUNT_FORMS = {
    "login": "console.accounts.sign_in.SignInForm",
    "change_password": "console.accounts.sign_in.NewPasswordForm",  # nosec B105 - no password
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # an invitation is opened from the mailbox
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300  # seconds, as console.accounts.access.CONFIRMED_FOR
ACCOUNT_RATE_LIMITS = {
    "login": "60/m/ip",
    "login_failed": "30/m/ip,5/m/key",  # of one address; of one address at one account
    # At one account, of all addresses at which nobody of that name is signed in; with one where somebody is, under 20.
    "login_failed_anywhere": "14/m/key",
}
MFA_FORMS = {
    "add_webauthn": "console.accounts.passkeys.AddForm",
    "authenticate_webauthn": "console.accounts.passkeys.AuthenticateForm",
    "login_webauthn": "console.accounts.passkeys.SignInForm",
    "reauthenticate_webauthn": "console.accounts.passkeys.ReauthenticateForm",
}
MFA_ADAPTER = "console.accounts.sign_in.Factors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_TOLERANCE = 1  # half a minute either way: clocks differ
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = INSECURE_HTTP
USERSESSIONS_ADAPTER = "console.accounts.sign_in.Sessions"
# The company's own identity provider, if there is one. Its sign-in page must be on the issuer's host.
OIDC_ISSUER, OIDC_NAME = env("OIDC_ISSUER", ""), env("OIDC_NAME", "your company")
SOCIALACCOUNT_ADAPTER = "console.accounts.oidc.Company"
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True  # to connect or disconnect it
SOCIALACCOUNT_OPENID_CONNECT_URL_PREFIX = ""
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, Any]] = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        # Who is asked for it has to tell `auth_time`, without which a sign-in there proves nothing of who is at the
        # keyboard now.
        "AUTH_PARAMS": {"max_age": str(SESSION_COOKIE_AGE)},
    }
}
if OIDC_ISSUER:
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = [
        {
            "provider_id": "company",
            "name": OIDC_NAME,
            "client_id": env("OIDC_CLIENT_ID", hint="OIDC_ISSUER is set."),
            "secret": env("OIDC_CLIENT_SECRET", hint="OIDC_ISSUER is set."),
            "settings": {"server_url": OIDC_ISSUER},
        }
    ]
# Whether support staff need a second factor, too.
SUPPORT_SECOND_FACTOR = env("SUPPORT_SECOND_FACTOR", "1") == "1"
# Who tried to sign in how often. In the database, which a console cannot do without anyway, so that all processes count
# together, and people can sign in while the broker is down.
CACHES = {
    "default": {
        "BACKEND": "console.web.cache.JSONCache",
        "LOCATION": "accounts_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},  # beyond that some are thrown away: a flood of names must not do that
    }
}

# What the browser is told
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = not INSECURE_HTTP
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 0 if INSECURE_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not INSECURE_HTTP
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not INSECURE_HTTP
SESSION_COOKIE_NAME = "sessionid" if INSECURE_HTTP else "__Host-sessionid"
CSRF_COOKIE_NAME = "csrftoken" if INSECURE_HTTP else "__Host-csrftoken"
CSRF_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# What a request may hold; no form here takes a file.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
DATA_UPLOAD_MAX_NUMBER_FILES = 10

# Words, times, files
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = env("STATIC_ROOT", str(BASE_DIR / ".static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "console.web.static_files.Storage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True  # nothing asks for a plain name, and compressing both takes twice as long

# The map's background is an outline of our own; a tile server is fetched by the browser, and sees who looks at what.
MAP_TILES_URL = env("MAP_TILES_URL", "")  # such as https://tiles.example.org/{z}/{x}/{y}.png
MAP_TILES = (MAP_TILES_URL, env("MAP_TILES_ATTRIBUTION", "")) if MAP_TILES_URL else None

LOG_FORMAT = env("LOG_FORMAT", "text")
if LOG_FORMAT not in {"text", "json"}:
    raise ImproperlyConfigured("Set LOG_FORMAT to text or to json.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"origin": {"()": "console.web.logs.WithOrigin"}},
    "formatters": {
        "text": {
            "()": "console.web.logs.TextFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s%(told)s",
        },
        "json": {"()": "console.web.logs.JSONFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["origin"]}},
    "root": {"handlers": ["stderr"], "level": env("LOG_LEVEL", "INFO")},
    # botocore's debug log holds signed requests; never let it out.
    "loggers": {"botocore": {"level": "WARNING"}, "celery": {"level": "INFO"}},
}

DEFAULT_EXCEPTION_REPORTER_FILTER = "console.web.reports.Filter"

# What goes for all linked accounts of a cloud (console.clouds.contract.DeploymentSettings).
DEPLOYMENT_SETTINGS: dict[str, dict[str, Any]] = {
    # The identity that roles in linked accounts trust: shown in the trust policy of Link Cloud Account.
    "aws": {"principal": env("AWS_PRINCIPAL", "arn:aws:iam::CONSOLE-ACCOUNT-ID:root")},
    "s3": {"endpoints_allowed": tuple(S3_ENDPOINTS_ALLOWED)},
    "azure": {
        "token_file": env("AZURE_FEDERATED_TOKEN_FILE", ""),
        "endpoint_url": env("AZURE_ENDPOINT_URL", ""),
        "ca_file": env("AZURE_ENDPOINT_CA", ""),
    },
    "google": {
        "token_file": env("GOOGLE_SUBJECT_TOKEN_FILE", ""),
        "endpoint_url": env("GOOGLE_ENDPOINT_URL", ""),
        "ca_file": env("GOOGLE_ENDPOINT_CA", ""),
    },
}
