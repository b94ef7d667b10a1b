"""One guarded way out: to addresses that were checked, over TLS, following nothing, and over in ten seconds.

What is known of an address is what its channel says. `ALERT_ENDPOINTS_ALLOWED` names what may be inside, and without
TLS.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from console.alerts.formats import Request
from console.clouds import addresses, foreign, streams
from console.release import VERSION

if TYPE_CHECKING:
    import requests

SETTING = "ALERT_ENDPOINTS_ALLOWED"
SECONDS, BYTES = 10.0, 64 * 1024  # of one answer, whatever the other side does
SHOWN = 200  # characters of it
PART = 6  # characters of a secret; what is shorter is a word of everybody's
ANYWHERE = ("0.0.0.0/0", "::/0")
LATEST = 3600  # seconds of Retry-After that are waited for


@dataclass(frozen=True)
class Answer:
    """What the other side said, or what kept it from saying anything."""

    status: int | None
    text: str
    retry_after: int = 0  # seconds, as it asked

    @property
    def is_good(self) -> bool:
        """Return whether the message was taken."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Return whether the other side wants nothing any more: 410 Gone."""
        return self.status == 410


def refusal(url: str, allowed: Sequence[str] | None = None) -> str:
    """Return why nothing may be sent to the address, before anybody is asked; "" where nothing speaks against it."""
    allowed = settings.ALERT_ENDPOINTS_ALLOWED if allowed is None else allowed
    try:
        address = urlsplit(url)
        host, _ = address.hostname or "", address.port
    except ValueError:
        host = ""
    if not host or address.scheme not in {"https", "http"}:
        return "Enter a whole address, such as https://alerts.example.org/hook."
    if address.username or address.password:
        return "Leave name and password out of the address."
    if address.scheme == "http" and not addresses.is_allowed(host, _literal(host), allowed):
        return f"Let the address begin with https://: without it, anybody in between reads what is sent ({SETTING})."
    if literal := _literal(host, ""):
        try:
            addresses.resolve(literal, 443, tuple(allowed), SETTING)
        except OSError as error:
            return str(error)
    return ""


def _literal(host: str, other: str = "0.0.0.0") -> str:  # noqa: S104 - no address that anybody has
    """Return the host if it is an IP address, or else the other."""
    try:
        addresses.kind(host)
    except ValueError:
        return other
    return host


def post(request: Request) -> Answer:
    """Send it, and return what came back; raises nothing for whatever the other side does."""
    return _ask("POST", request, settings.ALERT_ENDPOINTS_ALLOWED)


def ping(url: str, *, anywhere: bool = False) -> Answer:
    """Ask for the address, which is all that a dead man's switch wants; `anywhere` is for the operator's own."""
    return _ask("GET", Request(url, b""), ANYWHERE if anywhere else settings.ALERT_ENDPOINTS_ALLOWED)


def _ask(method: str, request: Request, allowed: Sequence[str]) -> Answer:
    import requests  # noqa: PLC0415 - only where something is sent

    if why := refusal(request.url, allowed):
        return Answer(None, why)
    with _session(tuple(allowed)) as session:
        try:
            with streams.within(SECONDS, BYTES):
                answer = session.request(
                    method,
                    request.url,
                    data=request.body or None,
                    headers={"User-Agent": f"Storekeeper/{VERSION}", **request.headers},
                    timeout=SECONDS,
                    allow_redirects=False,
                    stream=True,
                )
                text = _beginning(answer, request)
        except (requests.RequestException, OSError, ValueError) as error:
            return Answer(None, _why(error))
    if answer.is_redirect:
        return Answer(answer.status_code, "It sends elsewhere, and redirects are not followed.")
    after = answer.headers.get("Retry-After", "")
    wait = min(int(after), LATEST) if after.isascii() and after.isdigit() and len(after) < 9 else 0
    return Answer(answer.status_code, text, wait)


def _beginning(answer: requests.Response, request: Request) -> str:
    """Return the beginning of what follows the head; the message was taken or refused with that, whatever follows.

    It is kept where viewers and support read it, and servers repeat what they were asked for.
    """
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        said = answer.raw.read(4 * SHOWN).decode(errors="replace")
    except (HTTPError, OSError):
        return ""
    return foreign.text(
        _hidden(said, {one for value in (request.url, *request.secrets) for one in _forms(value)}), SHOWN
    )


def _hidden(said: str, secrets: Collection[str]) -> str:
    """Return the text with an ellipsis for each of the secrets, also where its end has only the beginning of one."""
    longest = sorted(secrets, key=len, reverse=True)
    if not longest:
        return said
    said = re.sub("|".join(map(re.escape, longest)), "…", said, flags=re.IGNORECASE)
    cut = max((size for one in longest for size in range(PART, len(one)) if _ends_with(said, one[:size])), default=0)
    return f"{said[:-cut]}…" if cut else said


def _ends_with(said: str, part: str) -> bool:
    return said[-len(part) :].lower() == part.lower()


def _forms(secret: str) -> Iterator[str]:
    """Yield what gives a secret away, as others may write it: of an address its path, its query, and parts of both."""
    parts, path = [secret], ""
    with suppress(ValueError):
        address = urlsplit(secret)
        if address.scheme and address.netloc:
            path = address.path if address.path.strip("/") else ""
            values = [value for _, value in parse_qsl(address.query)]
            parts = [*path.split("/"), *values, address.query, f"{path}?{address.query}"]
    for one in (*(part for part in parts if len(part) >= PART), *filter(None, [path])):
        yield from (one, unquote(one), quote(one), quote(one, safe=""), one.replace("/", "\\/"), escape(one))


def _session(allowed: tuple[str, ...]) -> requests.Session:
    import requests  # noqa: PLC0415
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool  # noqa: PLC0415

    from console.clouds.sessions import Adapter  # noqa: PLC0415

    class Checked(Adapter):
        """Opens connections to checked addresses only."""

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            """Make what opens connections."""
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = {
                "http": addresses.checked(HTTPConnectionPool, allowed, SETTING),
                "https": addresses.checked(HTTPSConnectionPool, allowed, SETTING),
            }
            streams.limit(self.poolmanager)

    session = requests.Session()
    session.trust_env = False  # no .netrc, and no proxy, which would choose where the connection goes
    for scheme in ("https://", "http://"):
        session.mount(scheme, Checked())
    return session


def _why(error: BaseException) -> str:
    """Return what kept an answer from coming, in words; nothing of the address, which may be a secret."""
    if said := streams.end_of(error):
        return f"No answer: {said}."
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, addresses.Forbidden):
            return str(found)
        inner = [*found.args, getattr(found, "reason", None)]
        found = next((one for one in inner if isinstance(one, BaseException)), None) or found.__cause__
    name = type(error).__name__
    known = {
        "SSLError": "Its certificate could not be verified.",
        "ConnectTimeout": "It could not be reached in time.",
        "ReadTimeout": "It did not answer in time.",
        "ConnectionError": "It could not be reached.",
    }
    return known.get(name, f"It could not be asked ({name}).")


def mail(address: str, subject: str, text: str, message_id: str) -> Answer:
    """Send an e-mail; raises nothing for whatever the mail server does."""
    if not settings.EMAIL_HOST:
        return Answer(None, "This console sends no e-mail: whoever runs it has not set EMAIL_HOST.")
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ") or "localhost"
    headers = {"Message-ID": f"<{message_id}@{domain}>", "Auto-Submitted": "auto-generated"}
    try:
        with get_connection(timeout=SECONDS) as connection:
            EmailMessage(subject, text, None, [address], connection=connection, headers=headers).send()
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()), (550, b""))
        return Answer(code, foreign.text(said.decode(errors="replace"), SHOWN))
    except smtplib.SMTPResponseException as error:
        told = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return Answer(error.smtp_code, foreign.text(told, SHOWN))
    except OSError as error:  # as all else of smtplib's
        return Answer(None, f"The mail server could not be reached ({type(error).__name__}).")
    return Answer(250, "The mail server has taken it.")
