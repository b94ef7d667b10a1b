"""Where the command line has its console and its token from: the environment, or what `storekeeper login` has kept."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client import Client
from .credentials import ClientCredentials
from .errors import WrongUse

HOW = "Run `storekeeper login`, or set STOREKEEPER_URL and STOREKEEPER_TOKEN."


@dataclass
class Login:
    """A console and how to sign in there; `file` is set where what is learned may be kept."""

    url: str
    token: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    ca_file: str = ""
    access_token: str = field(default="", repr=False)
    until: float = 0
    file: Path | None = None

    def client(self, *, plain_http: bool = False) -> Client:
        """Return the client; raises WrongUse."""
        client = Client(
            self.url,
            self.token,
            client_id=self.client_id,
            client_secret=self.client_secret,
            ca_file=self.ca_file,
            plain_http=plain_http,
        )
        if isinstance(client.credentials, ClientCredentials):
            client.credentials.access_token, client.credentials.until = self.access_token, self.until
        return client

    def keep(self, client: Client) -> None:
        """Write down the access token that the client has got since, if it was read of a file."""
        if self.file is None or not isinstance(client.credentials, ClientCredentials):
            return
        if client.credentials.access_token != self.access_token:
            self.access_token, self.until = client.credentials.access_token, client.credentials.until
            write(self.file, self)


def place(environment: Mapping[str, str]) -> Path:
    """Return the file of `storekeeper login`."""
    if given := environment.get("STOREKEEPER_LOGIN_FILE"):
        return Path(given)
    base = environment.get("XDG_CONFIG_HOME") or os.path.join(
        environment.get("HOME") or os.path.expanduser("~"), ".config"
    )
    return Path(base) / "storekeeper" / "login.json"


def find(environment: Mapping[str, str], url: str = "", ca_file: str = "") -> Login:
    """Return the console that is meant: by an option, the environment, or the file, in this order.

    A token goes to the console that it was kept for, and to no other. Raises WrongUse, with what to do.
    """
    path = place(environment)
    kept = read(path)
    asked = url or environment.get("STOREKEEPER_URL", "") or (kept.url if kept else "")
    if not asked:
        raise WrongUse(f"Which console? {HOW}")
    asked = tidy(asked)
    ca_file = ca_file or environment.get("STOREKEEPER_CA_FILE", "")
    token = environment.get("STOREKEEPER_TOKEN", "").strip()
    client_id, secret = (environment.get(f"STOREKEEPER_CLIENT_{name}", "").strip() for name in ("ID", "SECRET"))
    if token or (client_id and secret):
        return Login(asked, token, "" if token else client_id, "" if token else secret, ca_file)
    if kept and kept.url == asked:
        kept.ca_file, kept.file = ca_file or kept.ca_file, path
        return kept
    raise WrongUse(f"There is no token for {asked}. {HOW}")


def tidy(url: str) -> str:
    """Return an address as it is kept: with https:// where no scheme is given, without what follows the host."""
    url = url.strip()
    if "://" not in url:
        url = f"https://{url}"
    for end in ("/api/v1", "/login", "/stores"):  # as somebody copies it out of a browser
        url = url.rstrip("/").removesuffix(end)
    return url.rstrip("/")


def read(path: Path) -> Login | None:
    """Return what is kept; None for no file. Raises WrongUse when others can read it, or it makes no sense."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise WrongUse(f"Others can read {path}, which holds a token: chmod 600 {path}")
        kept = json.loads(path.read_text(encoding="utf-8"))
        found = Login(str(kept["url"]), until=float(kept.get("until", 0)))
        for name in ("token", "client_id", "client_secret", "ca_file", "access_token"):
            setattr(found, name, str(kept.get(name, "")))
        return found
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise WrongUse(f"{path} is damaged. Run `storekeeper login` again.") from error


def write(path: Path, login: Login) -> None:
    """Keep a login in a file that nobody else can read, from its first byte on (0600)."""
    content: dict[str, Any] = {"url": login.url, "until": login.until}
    for name in ("token", "client_id", "client_secret", "ca_file", "access_token"):
        if value := getattr(login, name):
            content[name] = value
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, new = tempfile.mkstemp(dir=path.parent, prefix=".login-")  # which makes it 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise WrongUse(f"{path} cannot be written: {error.strerror}.") from error
