"""The client: every call of the console's API as a method."""

from __future__ import annotations

from .calls import Calls
from .credentials import ApiToken, ClientCredentials
from .transport import DEADLINE, PATIENCE, Transport


class Client(Calls):
    """A console, as somebody with a token calls it.

    client = Client("https://console.example.org", token="sk_…")
    for store in client.list_stores(state="degraded"):
        print(store["name"])
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        client_id: str = "",
        client_secret: str = "",
        ca_file: str = "",
        plain_http: bool = False,
        deadline: float = DEADLINE,
        patience: float = PATIENCE,
    ) -> None:
        """Take an address, and a token or client credentials; nothing is sent yet.

        `deadline` seconds are for one call, `patience` for its repetitions together. Raises WrongUse.
        """
        credentials = ApiToken(token) if token else ClientCredentials(client_id, client_secret)
        transport = Transport(url, ca_file=ca_file, plain_http=plain_http, deadline=deadline, patience=patience)
        super().__init__(transport, credentials)
