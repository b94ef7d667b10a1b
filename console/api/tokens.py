"""Tokens: issued and shown once, found again by whoever sends one, revoked.

`sk_<id>_<secret><crc>`: the ID finds the row, the secret is 256 random bits in base 62, and the CRC-32 of all before it
lets scanners tell a token from what looks like one (as GitHub's have it since 2021). Client credentials are a client ID
`skc_<id>` and a secret `sks_<id>_<secret><crc>`; access tokens `ska_…` are signed, and name the client's row, which is
asked for each time: so what is revoked ends at once.
"""

from __future__ import annotations

import re
import secrets
import string
import time
import zlib
from collections.abc import Collection
from datetime import datetime

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from console.accounts import activity
from console.accounts.models import Membership, Organisation, User
from console.api.models import SCOPES, ServiceAccount, Token
from console.cloud_accounts.models import Attempt
from console.web import prepared

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY, SECRET, CHECKSUM = 12, 43, 6  # characters: 62^43 is more than 2^256, 62^6 more than 2^32
TEXT = re.compile(rf"(sk|sks)_([0-9A-Za-z]{{{KEY}}})_[0-9A-Za-z]{{{SECRET}}}([0-9A-Za-z]{{{CHECKSUM}}})")
CLIENT_ID = re.compile(rf"skc_([0-9A-Za-z]{{{KEY}}})")
LONGEST = 200  # characters of anything that can be a token
ACCESS_SECONDS = 24 * 3600
ACCESS = "ska_"
_PREFIX = {Token.Kind.TOKEN: "sk", Token.Kind.CLIENT: "sks"}


class TokenRefused(Exception):
    """It opens nothing; the message says why, as far as whoever sent it may know."""


class TooMany(Exception):
    """There are as many as there may be; the message says what to do."""


class NameTaken(Exception):
    """Another service account of the organisation has the name."""


def issue(
    of: Membership | ServiceAccount,
    *,
    name: str,
    kind: str,
    scopes: Collection[str],
    expires_at: datetime,
    by: User | None,
) -> tuple[Token, str]:
    """Make a token of a member, or of a service account; returns it with its text, which is kept nowhere.

    Raises TooMany.
    """
    whose = {"service_account": of} if isinstance(of, ServiceAccount) else {"membership": of}
    key = _random(KEY)
    begins = f"{_PREFIX[Token.Kind(kind)]}_{key}_{_random(SECRET)}"
    text = begins + checksum(begins)
    with transaction.atomic():
        organisation = Organisation.locked(of.organisation_id)
        if Token.objects.good().filter(**whose).count() >= Token.AT_MOST:
            raise TooMany(f"There are {Token.AT_MOST} tokens, and no more may be. Revoke one that is not needed.")
        token = Token.objects.create(
            organisation=organisation,
            **whose,
            kind=kind,
            name=name,
            key=key,
            digest=_digest(text),
            scopes=[one for one in SCOPES if one in scopes],
            expires_at=expires_at,
        )
        after = {"kind": kind, "scopes": token.scopes, "until": expires_at.isoformat(timespec="seconds")}
        activity.record("Created an API token", token, organisation=organisation, by=by, after=after)
    return token, text


def make_service_account(organisation: Organisation, *, name: str, role: str, by: User | None) -> ServiceAccount:
    """Make a service account, which has no token yet; raises NameTaken and TooMany."""
    with transaction.atomic():
        organisation = Organisation.locked(organisation.pk)
        mine = ServiceAccount.objects.filter(organisation=organisation)
        if mine.named(name).exists():
            raise NameTaken
        if mine.count() >= ServiceAccount.AT_MOST:
            most = ServiceAccount.AT_MOST
            raise TooMany(f"There are {most} service accounts, and no more may be. Remove one that is not needed.")
        made = ServiceAccount.objects.create(organisation=organisation, name=name, role=role, by=by)
        activity.record("Created a service account", made, organisation=organisation, by=by, after={"role": role})
    return made


def remove_service_account(account: ServiceAccount, *, by: User | None) -> None:
    """Remove it with all of its tokens."""
    with transaction.atomic():
        before = {"role": account.role, "tokens": account.tokens.count()}
        # Before, because what is deleted has lost its ID.
        organisation = account.organisation
        activity.record("Removed a service account", account, organisation=organisation, by=by, before=before)
        Attempt.objects.filter(service=account.pk).delete()  # with what it has entered
        account.delete()


def revoke(token: Token, *, by: User | None) -> None:
    """End it, and all access tokens that were got with it, now."""
    with transaction.atomic():
        if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now()):
            before = {"of": str(token.owner)}
            activity.record("Revoked an API token", token, organisation=token.organisation, by=by, before=before)


def find(text: str) -> Token:
    """Return the token that was sent, with its member, in one query; raises TokenRefused.

    Its last use is noted, once a minute at most.
    """
    if text.startswith(ACCESS):
        token = _row(_access_key(text), Token.Kind.CLIENT)
    elif len(text) < LONGEST and (found := TEXT.fullmatch(text)) and found[1] == "sk" and is_whole(text):
        token = _row(found[2], Token.Kind.TOKEN)
        if not token or not constant_time_compare(token.digest, _digest(text)):
            token = None
    else:
        token = None
    if token is None:
        raise TokenRefused("The token is not known here. Send it as it was shown, or make another one.")
    _check(token)
    _note_use(token)
    return token


def grant(client_id: str, client_secret: str) -> tuple[Token, str, int]:
    """Return the client, an access token, and for how many seconds it is good; raises TokenRefused."""
    by_id, by_secret = CLIENT_ID.fullmatch(client_id), TEXT.fullmatch(client_secret)
    token = None
    if by_id and by_secret and by_secret[1] == "sks" and by_secret[2] == by_id[1] and is_whole(client_secret):
        token = _row(by_id[1], Token.Kind.CLIENT)
    if token is None or not constant_time_compare(token.digest, _digest(client_secret)):
        raise TokenRefused("Client ID or client secret are wrong.")
    _check(token)
    _note_use(token)
    left = int((token.expires_at - timezone.now()).total_seconds())
    seconds = min(ACCESS_SECONDS, left)
    return token, access_token(token, time.time() + seconds), seconds


def access_token(token: Token, until: float) -> str:
    """Return an access token of the client that is good until then (seconds, Unix)."""
    return ACCESS + _signer().sign(f"{token.key}.{int(until)}")


def checksum(text: str) -> str:
    """Return the CRC-32 of the text in six digits of base 62."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_whole(text: str) -> bool:
    """Return whether the text ends in the checksum of what stands before it."""
    return checksum(text[:-CHECKSUM]) == text[-CHECKSUM:]


def _access_key(text: str) -> str:
    try:
        key, _, until = _signer().unsign(text.removeprefix(ACCESS)[:LONGEST]).partition(".")
    except BadSignature:
        return ""
    if int(until) <= time.time():
        raise TokenRefused("The access token is over. Get another one with the client's credentials.")
    return key


def _signer() -> Signer:
    return Signer(salt="console.api.access", sep=".", algorithm="sha256")


def _row(key: str, kind: str) -> Token | None:
    found = _by_key.first(key) if key else None
    return found if found and found.kind == kind else None


# Each call of the API begins with it.
_by_key: prepared.Prepared[Token] = prepared.Prepared(
    lambda key: Token.objects.with_member().filter(key=key).order_by(), prepared.TEXT
)


def _check(token: Token) -> None:
    if token.revoked_at:
        raise TokenRefused("The token was revoked.")
    if not token.is_good:
        raise TokenRefused("The token is over. Make another one.")
    if token.person and not token.person.is_active:
        raise TokenRefused("Whose token this is may not sign in any more.")


def _note_use(token: Token) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at >= Token.USED_EACH:
        unused = Q(last_used_at=None) | Q(last_used_at__lt=now - Token.USED_EACH)
        Token.objects.filter(unused, pk=token.pk).update(last_used_at=now)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _digest(text: str) -> str:
    # Not a password: 256 random bits, which nobody can try. The HMAC keeps a stolen database from naming what is good.
    return salted_hmac("console.api.tokens", text, algorithm="sha256").hexdigest()
