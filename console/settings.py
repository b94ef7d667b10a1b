"""Django's settings: the only reader of the environment, and says what to set when something is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dj_database_url
from kombu import Queue

from console.environment import (
    HOST,
    env,
    env_broker,
    env_certificates,
    env_choice,
    env_database,
    env_email,
    env_hosts,
    env_list,
    env_number,
    env_path,
    env_pattern,
    env_places,
    env_switch,
    env_url,
)

BASE_DIR = Path(__file__).resolve().parent.parent

# Commands that build the project need no secrets: `collectstatic` in an image, `makemigrations`, the linters; nor do
# those that come before there are any.
WITHOUT_SECRETS = {"collectstatic", "makemigrations", "demo", "help", "--help", "write_environment"}
BUILDING = len(sys.argv) > 1 and sys.argv[1] in WITHOUT_SECRETS
UNSET = "unset" if BUILDING else None

# Who may talk to us
SECRET_KEY = env_pattern("SECRET_KEY", UNSET, r".+", "any long random text", hint="It signs sessions and forms.")
ALLOWED_HOSTS = env_hosts("ALLOWED_HOSTS", "localhost,127.0.0.1")
CSRF_TRUSTED_ORIGINS = env_list(
    "CSRF_TRUSTED_ORIGINS",
    each=rf"https?://(\*\.)?{HOST}(:\d{{1,5}})?",
    wanted="https:// and a host name each, comma-separated, such as https://console.example.org",
)
# Where the nodes reach the console, and the certificates that theirs is checked against; "": as whoever takes their
# files does, and those of each machine.
PUBLIC_URL = env_url("PUBLIC_URL", "https://console.example.org").rstrip("/")
PUBLIC_CA = env_certificates("PUBLIC_CA")
# Newest first: the first encrypts, all decrypt.
FIELD_ENCRYPTION_KEYS = env(
    "FIELD_ENCRYPTION_KEYS", UNSET, hint="Comma-separated Fernet keys, newest first (console/deploy/keys.md)."
).split(",")
# Whoever unwraps those that begin with vault:, when the first of them is needed (console.accounts.vault).
VAULT_ADDR = env_url("VAULT_ADDR", "https://vault.example.org:8200").rstrip("/")
VAULT_TOKEN = env_pattern("VAULT_TOKEN", "", r"[!-~]+", "a token of the vault's")
VAULT_KEY = env_pattern("VAULT_KEY", "storekeeper", r"[\w.-]{1,200}", "the name of a transit key, such as storekeeper")
VAULT_MOUNT = env_pattern("VAULT_MOUNT", "transit", r"[\w./-]{1,200}", "where transit is mounted, such as transit")
VAULT_NAMESPACE = env_pattern("VAULT_NAMESPACE", "", r"[\w./-]{1,200}", "a namespace of the vault's, such as teams/db")
VAULT_CACERT = env_path("VAULT_CACERT", exists=True)
DEBUG = env_switch("DEBUG")
# Where the demo wrote who may sign in; empty in every real deployment.
DEMO_FILE = env_path("DEMO_FILE")
# How many proxies of the operator's stand in front: so many of the last entries of X-Forwarded-For are believed.
TRUSTED_PROXY_COUNT = env_number("TRUSTED_PROXY_COUNT", 0, most=20)
# How many there are of each, and what one takes: console.web.database adds it up.
WEB_PROCESSES = env_number("WEB_PROCESSES", 4, least=1, most=1000)  # as the web server is told with --workers
WEB_THREADS = env_number("WEB_THREADS", 16, least=1, most=1000)  # requests that one of them works on at once
WEB_QUEUE = env_number("WEB_QUEUE", 64, most=10_000)  # requests that may wait for a thread; more are answered with 503
WORKER_PROCESSES = env_number("WORKER_PROCESSES", 2, least=1, most=1000)
WORKER_THREADS = env_number("WORKER_THREADS", 16, least=1, most=1000)  # tasks that one of them works on at once
DATABASE_POOL = env_number("DATABASE_POOL", 8, least=1, most=1000)  # connections of one process, for all its threads
# Where traces go (OTLP over HTTP, without /v1/traces); OpenTelemetry reads its other names itself. "": there are none.
OTEL_EXPORTER_OTLP_ENDPOINT = env_url("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
# Without a token there is no /metrics. The folder is read by prometheus_client itself: here it is looked at.
PROMETHEUS_MULTIPROC_DIR = env_path("PROMETHEUS_MULTIPROC_DIR", folder=True, exists=True, writable=True)
METRICS_TOKEN = env_pattern(
    "METRICS_TOKEN", "", r"[!-~]+", "a token without spaces, such as openssl rand -hex 24 makes"
)
METRICS_WITHOUT_NAMES = env_switch("METRICS_WITHOUT_NAMES")  # of clusters, nodes, databases and stores
INSECURE_HTTP = env_switch("INSECURE_HTTP")  # the demo and local development: no TLS in front

# What it is made of
ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
INSTALLED_APPS = [
    "console.accounts",
    "console.audit",
    "console.restoration",
    "console.operations",
    "console.alerts",
    "console.cloud_accounts",
    "stores",
    "clusters",
    "console.api",
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
    "console.api.middleware.answers",
    "console.web.tracing.requests",
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
    "console.web.language.chosen",
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
                "django.templatetags.l10n",
                "django_htmx.templatetags.django_htmx",
                "console.web.template_tags",
                "console.web.sentences",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.web.pages.page",
                "console.help.links.help_link",
                "clusters.navigation.pane",
            ],
        },
    }
]

# Where things are kept
DATABASES = {
    "default": dj_database_url.parse(
        env_database("DATABASE_URL", "sqlite://:memory:" if BUILDING else None),
    )
}
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"]["ENGINE"] = "console.web.postgresql"  # with a pool in processes that serve
    # libpq, "Parameter Key Words": a server that is gone without a word is noticed within half a minute.
    reachable = {"connect_timeout": 3, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
    reachable |= {"tcp_user_timeout": 20_000}  # milliseconds
    DATABASES["default"]["OPTIONS"] = {**reachable, **DATABASES["default"].get("OPTIONS", {})}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["CONN_MAX_AGE"] = 600  # seconds: each thread has its own, and opening one reads the schema
    # Many short writers at once (16 worker threads): wait for the lock as a transaction starts, not in its middle.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # No checkpoint but beat's: see console.web.database.checkpoint.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=NORMAL; "
        "PRAGMA cache_size=-32000;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# E-mail, for invitations; without a host none is sent, and links are handed over by hand.
EMAIL_HOST = env_pattern(
    "EMAIL_HOST", "", HOST + r"|[0-9a-fA-F:.]+", "the mail server's name, such as mail.example.org"
)
EMAIL_PORT = env_number("EMAIL_PORT", 587, least=1, most=65_535)
EMAIL_HOST_USER = env("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env_switch("EMAIL_TLS", True)
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env_email("EMAIL_FROM", "storekeeper@localhost")
# Where linked S3 servers may be beside public addresses: CIDRs, addresses, or names with all names below them.
S3_ENDPOINTS_ALLOWED = env_places("S3_ENDPOINTS_ALLOWED")
# The same for where alerts are sent; what is named here may also be spoken to without TLS.
ALERT_ENDPOINTS_ALLOWED = env_places("ALERT_ENDPOINTS_ALLOWED")
# Asked every minute while beat, workers and alerts work: whoever is behind it tells when that ends.
DEADMAN_URL = env_url("DEADMAN_URL", "https://hc-ping.example.org/1b2c")
REDIS_URL = env_broker("REDIS_URL", "redis://127.0.0.1:6379/0")

# Work that goes on without a browser
LEASE_SECONDS = 20  # an operation whose worker has not renewed its lease for so long is taken up by another
# The certificate is verified unless the address says otherwise: kombu, unlike redis-py, takes any where it is not told.
CELERY_BROKER_URL = REDIS_URL
if REDIS_URL.startswith("rediss://") and "ssl_cert_reqs=" not in REDIS_URL:
    CELERY_BROKER_URL += f"{'&' if '?' in REDIS_URL else '?'}ssl_cert_reqs=required"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # else a worker ends itself when a broker that is full refuses what it writes
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # else a worker ends itself after fifty minutes without a broker
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = WORKER_THREADS
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
# Of the queues, a worker takes the first by name: what beat has sent, which is little; what somebody waits for; and
# what is read of the clouds in the background, hundreds of it.
CELERY_TASK_QUEUES = [Queue("beat"), Queue("celery"), Queue("snapshots")]
# In seconds, by the database's clock (console.operations.beat).
CELERY_BEAT_SCHEDULER = "console.operations.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "resume-stalled": {"task": "console.operations.tasks.resume_stalled", "schedule": 3.0},
    "renew-keys": {"task": "clusters.tasks.renew_keys", "schedule": 3600.0},
    "end-replaced-keys": {"task": "clusters.tasks.end_replaced_keys", "schedule": 15.0},
    "judge-due": {"task": "clusters.tasks.judge_due", "schedule": 5.0},
    "settle-drills": {"task": "clusters.tasks.settle_drills", "schedule": 30.0},
    "read-due": {"task": "console.operations.tasks.read_due", "schedule": 10.0},
    "housekeeping": {"task": "console.operations.housekeeping.keep_house", "schedule": 86_400.0},
    "evaluate-alerts": {"task": "console.alerts.tasks.evaluate_all", "schedule": 60.0},
    "deliver-alerts": {"task": "console.alerts.tasks.deliver_due", "schedule": 10.0},
    "mark-generation": {"task": "console.restoration.tasks.mark_generation", "schedule": 60.0},
}
# How long a finished task stays in the list of tasks.
OPERATIONS_KEPT_DAYS = env_number("OPERATIONS_KEPT_DAYS", 365, least=1, most=36_500)

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
# After so long without a request it ends; 0: never.
SESSION_IDLE_SECONDS = env_number("SESSION_IDLE_MINUTES", 30, most=100_000) * 60
ACCOUNT_ADAPTER = "console.accounts.sign_in.Accounts"
ACCOUNT_FORMS = {
    "login": "console.accounts.sign_in.SignInForm",
    "change_password": "console.accounts.sign_in.NewPasswordForm",
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
OIDC_ISSUER = env_url("OIDC_ISSUER", "https://id.example.org")
OIDC_NAME = env_pattern("OIDC_NAME", "your company", r".{1,60}", "what people call it, such as Example Ltd")
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
            "client_id": env_pattern(
                "OIDC_CLIENT_ID", None, r"[!-~]+", "the ID that the provider gave", hint="OIDC_ISSUER is set."
            ),
            "secret": env_pattern(
                "OIDC_CLIENT_SECRET", None, r".+", "the secret that the provider gave", hint="OIDC_ISSUER is set."
            ),
            "settings": {"server_url": OIDC_ISSUER},
        }
    ]
# Whether support staff need a second factor, too.
SUPPORT_SECOND_FACTOR = env_switch("SUPPORT_SECOND_FACTOR", True)
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
LANGUAGE_CODE = "en-gb"  # the source's, in which everything is recorded
# What people may choose, each by its own name. A language stands here once its catalog is complete.
LANGUAGES = [(LANGUAGE_CODE, "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "console" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = env_path("STATIC_ROOT", str(BASE_DIR / ".static"), folder=True)
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "console.web.static_files.Storage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True  # nothing asks for a plain name, and compressing both takes twice as long

# The map's background is an outline of our own; a tile server is fetched by the browser, and sees who looks at what.
MAP_TILES_URL = env_pattern(
    "MAP_TILES_URL",
    "",
    rf"https?://{HOST}(:\d{{1,5}})?/(?=.*\{{z\}})(?=.*\{{x\}})(?=.*\{{y\}})[^\s'\"<>]+",
    "an address with {z}, {x} and {y} in it, such as https://tiles.example.org/{z}/{x}/{y}.png",
)
MAP_TILES_ATTRIBUTION = env("MAP_TILES_ATTRIBUTION", "")
MAP_TILES = (MAP_TILES_URL, MAP_TILES_ATTRIBUTION) if MAP_TILES_URL else None

LOG_FORMAT = env_choice("LOG_FORMAT", "text", ["text", "json"])
LOG_LEVEL = env_choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "origin": {"()": "console.web.logs.WithOrigin"},
        "routine": {"()": "console.web.logs.WithoutRoutine"},
        "briefly": {"()": "console.web.unavailable.Briefly"},
    },
    "formatters": {
        "text": {
            "()": "console.web.logs.TextFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s%(told)s",
        },
        "json": {"()": "console.web.logs.JSONFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["origin"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # botocore's debug log holds signed requests; never let it out.
    "loggers": {
        "botocore": {"level": "WARNING"},
        "celery": {"level": "INFO"},
        **{f"celery.{name}": {"filters": ["routine"]} for name in ("beat", "worker.strategy", "worker.request")},
        "celery.app.trace": {"filters": ["routine", "briefly"]},
        "django.request": {"filters": ["briefly"]},
        "urllib3": {"level": "ERROR"},  # its warnings and below have addresses whole, and those of alerts are secrets
        "psycopg.pool": {"level": "WARNING"},  # below that it tells of every connection that is lent
    },
}

DEFAULT_EXCEPTION_REPORTER_FILTER = "console.web.reports.Filter"

# What goes for all linked accounts of a cloud (console.clouds.specs.DeploymentSettings).
PRINCIPAL = "arn:aws:iam::123456789012:role/storekeeper"  # an example
AWS_PRINCIPAL_UNSET = "arn:aws:iam::CONSOLE-ACCOUNT-ID:root"  # in whose place somebody writes the right one
DEPLOYMENT_SETTINGS: dict[str, dict[str, Any]] = {
    # The identity that roles in linked accounts trust: shown in the trust policy of Link Cloud Account.
    "aws": {
        "principal": env_pattern(
            "AWS_PRINCIPAL",
            "",
            r"arn:aws[a-z-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role)/[\w+=,.@/-]{1,1000})",
            f"the ARN of an identity, such as {PRINCIPAL}",
        )
        or AWS_PRINCIPAL_UNSET
    },
    "s3": {"endpoints_allowed": tuple(S3_ENDPOINTS_ALLOWED)},
    "azure": {
        "token_file": env_path("AZURE_FEDERATED_TOKEN_FILE"),
        "endpoint_url": env_url("AZURE_ENDPOINT_URL", "https://localhost:8443"),
        "ca_file": env_path("AZURE_ENDPOINT_CA"),
    },
    "google": {
        "token_file": env_path("GOOGLE_SUBJECT_TOKEN_FILE"),
        "endpoint_url": env_url("GOOGLE_ENDPOINT_URL", "https://localhost:8443"),
        "ca_file": env_path("GOOGLE_ENDPOINT_CA"),
    },
}
