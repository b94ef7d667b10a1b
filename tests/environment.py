"""The environment of the tests, loaded before Django's settings are (`-p tests.environment`)."""

import gc
import os
import tempfile
import zlib
from pathlib import Path

# A fifth of the time in which a process loads all modules and tests goes into looking for garbage among what stays to
# the end; conftest.py has it looked for again once they are there, and among what the tests make alone.
gc.disable()

os.environ.setdefault("SECRET_KEY", "tests")
os.environ.setdefault("FIELD_ENCRYPTION_KEYS", "9jEtFzJsF8mTz0JZ1Y9Cz6f5bXr1u2Gq0xQ3m3l8Zqk=")
os.environ.setdefault("DATABASE_URL", "sqlite:///:memory:")
os.environ.setdefault("INSECURE_HTTP", "1")
os.environ.setdefault("SUPPORT_SECOND_FACTOR", "")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")  # nothing listens there: the broker is down by default
os.environ.setdefault("S3_ENDPOINTS_ALLOWED", "127.0.0.0/8,localhost")  # where the tests' servers are
# Nothing of the machine's own settings for clouds may leak into a test, unless one of a real account is asked for.
if not os.environ.get("LIVE_PROVIDER"):
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright runs an event loop in the test's thread

# WhiteNoise warns of a folder that is not there, and warnings are errors. Each checkout has its own: one that fills it
# would take the files away under the tests of another.
static_root = Path(tempfile.gettempdir()) / f"storekeeper-tests-static-{zlib.crc32(__file__.encode()):08x}"
static_root.mkdir(exist_ok=True)
os.environ["STATIC_ROOT"] = str(static_root)
