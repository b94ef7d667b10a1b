"""Where a server that somebody named may be: at a public address, or where the operator allows it.

That is checked as each connection opens. A name is looked up once, what it leads to is checked, and the connection goes
to just that: a name that leads elsewhere a moment later (DNS rebinding) gains nothing by it. Clients that are guarded
follow no redirect to anywhere else either, because every connection of theirs is checked.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from threading import Thread
from typing import Any

from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

# By what people call them (IANA, "IPv4 Special-Purpose Address Space"); "metadata" are those of the addresses at which
# clouds tell machines their credentials that are neither private nor link-local.
IPV4 = {
    "metadata": "168.63.129.16 192.0.0.192 100.100.100.200",
    "loopback": "127.0.0.0/8 0.0.0.0/8",
    "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    "link-local": "169.254.0.0/16",
    "carrier-grade NAT": "100.64.0.0/10",
    "multicast": "224.0.0.0/4",
    "reserved": "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4",
}
# Of IPv6 only 2000::/3 is public, and not all of that ("IPv6 Special-Purpose Address Space").
IPV6 = {
    "loopback": "::1 ::",
    "private": "fc00::/7 fec0::/10",
    "link-local": "fe80::/10",
    "multicast": "ff00::/8",
    "reserved": "2001::/23 2001:db8::/32 3fff::/20",
}
LOOK_UP_SECONDS = 5.0
PUBLIC_IPV6 = IPv6Network("2000::/3")
# IPv6 addresses that lead to an IPv4 address, and the bits in front of it.
EMBEDDED = (("::ffff:0:0/96", 96), ("64:ff9b::/96", 96), ("2002::/16", 16), ("::/96", 96))


S3_SETTING = "S3_ENDPOINTS_ALLOWED"


class Forbidden(OSError):
    """The server is where the console does not connect to; the message says so to people."""


@cache
def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one) for one in text.split())


def kind(address: str) -> str:
    """Return what keeps an address from being public, such as "private"; "" for a public one."""
    one = _plain(address)
    known = IPV4 if isinstance(one, IPv4Address) else IPV6
    for name, text in known.items():
        if any(one in network for network in _networks(text)):
            return name
    return "" if isinstance(one, IPv4Address) or one in PUBLIC_IPV6 else "reserved"


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one leads to, or else the address itself."""
    one = ip_address(address.partition("%")[0])
    if isinstance(one, IPv6Address) and int(one) > 1:
        for network, bits in EMBEDDED:
            if one in ip_network(network):
                return IPv4Address((int(one) >> (96 - bits)) & 0xFFFFFFFF)
    return one


def is_allowed(host: str, address: str, allowed: Sequence[str]) -> bool:
    """Return whether the operator has allowed this name, a name above it, this address or a network that it is in."""
    for entry in allowed:
        try:
            if _plain(address) in ip_network(entry, strict=False):
                return True
        except ValueError:  # a name
            if f".{host.lower().rstrip('.')}".endswith(f".{entry.lower().rstrip('.')}"):
                return True
    return False


def _look_up(host: str, port: int) -> list[Any]:
    """Return what getaddrinfo does, in time: whoever has a name answers for it as slowly as they like.

    A look-up cannot be ended; its thread goes on without us, for as long as the system's resolver has patience.
    """
    found: list[Any] = []

    def look() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM))
        except UnicodeError:  # an impossible label
            found.append(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        except OSError as error:
            found.append(error)

    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(LOOK_UP_SECONDS)
    answer = found[0] if found else socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    if isinstance(answer, OSError):
        raise answer
    return list(answer)


def resolve(host: str, port: int, allowed: Sequence[str], setting: str = S3_SETTING) -> list[str]:
    """Return a server's addresses, in the order to try them; raises Forbidden when it may not be at one of them.

    `allowed` is what the operator has set as `setting`.
    """
    found = _look_up(host.strip("[]"), port)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    for address in addresses:
        if (reason := kind(address)) and not is_allowed(host, address, allowed):
            raise Forbidden(
                f"{host} is at a {reason} address, which the console does not connect to. Enter the server's public "
                f"address, or ask who runs the console to allow this one ({setting})."
            )
    return addresses


class Checked:
    """What a connection of urllib3 does beside its own: it goes to an address that was just checked."""

    allowed: tuple[str, ...] = ()
    setting = S3_SETTING
    port: int
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        failure: HTTPError = NewConnectionError(self, "The name has no address.")  # type: ignore[arg-type]
        try:
            for address in resolve(name, self.port, self.allowed, self.setting):
                self._dns_host = address
                try:
                    return super()._new_conn()  # type: ignore[misc,no-any-return]
                except HTTPError as error:
                    failure = error
        except socket.gaierror as error:
            raise NameResolutionError(name, self, error) from error  # type: ignore[arg-type]
        except Forbidden as error:
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]
        finally:
            self._dns_host = name  # which the certificate has to be for
        raise failure


@cache
def checked(pool: type[Any], allowed: tuple[str, ...], setting: str = S3_SETTING) -> type[Any]:
    """Return a pool like that one of urllib3's, whose connections go only to where servers may be."""
    inner = {"allowed": allowed, "setting": setting}
    connection = type("CheckedConnection", (Checked, pool.ConnectionCls), inner)
    return type("CheckedPool", (pool,), {"ConnectionCls": connection})
