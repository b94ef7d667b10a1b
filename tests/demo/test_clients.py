"""The demo's clients of the API: they work as demo.json says, and each start makes them anew."""

from __future__ import annotations

from console.api.models import Token
from console.demo.clients import clients
from console.demo.sample import ACME, OTHER
from tests import factories


def test_demo_json_has_clients_that_work_and_a_token_that_is_over(client, db):
    acme, other = factories.organisation(ACME), factories.organisation(OTHER)
    olivia = factories.user("olivia", acme, "owner")
    factories.user("vera", acme, "viewer")
    factories.user("sam", other, "admin")
    olivia.memberships.create(organisation=other, role="viewer")
    people = {role: {"username": name} for role, name in (("owner", "olivia"), ("viewer", "vera"), ("stranger", "sam"))}
    first = clients({"url": "http://127.0.0.1:8000", **people})
    assert {*first} == {"url", "client_id", "client_secret", "viewer", "stranger", "expired_token"}
    roles = []
    for given in (first, first["viewer"], first["stranger"]):
        asked = {name: given[name] for name in ("client_id", "client_secret")}
        access = client.post("/v1/oauth/token", asked, content_type="application/json").json()["access_token"]
        told = client.get("/api/v1/me", headers={"Authorization": f"Bearer {access}"}).json()
        roles.append((told["organisation"], told["role"]))
    assert roles == [(ACME, "owner"), (ACME, "viewer"), (OTHER, "admin")]
    over = client.get("/api/v1/me", headers={"Authorization": f"Bearer {first['expired_token']}"})
    assert (over.status_code, "is over" in over.json()["detail"]) == (401, True)
    clients({"url": "", **people})
    assert Token.objects.count() == 3
