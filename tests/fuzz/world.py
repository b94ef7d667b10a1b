"""Two organisations with one of everything, who may ask for it, and what was found by walking their pages."""

from __future__ import annotations

import inspect
import json
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from io import StringIO
from itertools import cycle
from os.path import commonpath
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit
from uuid import NAMESPACE_OID, uuid4, uuid5

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import UUIDField
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from clusters import actions as clusters
from clusters import enrolment
from clusters.health import judging
from clusters.models import (
    BackupPolicy,
    Bringing,
    Database,
    Drill,
    DrillRun,
    Inventory,
    KnownStanza,
    Node,
    RemovedNode,
    Repository,
    Stanza,
    new_passphrase,
)
from clusters.pgbackrest.repository import Backup, StanzaState, as_json
from clusters.reports.report import of_json
from console.accounts import activity, members
from console.accounts.installation import gate
from console.accounts.models import Membership
from console.accounts.sign_in import CONFIRMED_AT
from console.api import tokens
from console.cloud_accounts.actions import external_id
from console.cloud_accounts.models import CloudAccount, Preflight
from console.clouds.contents import Contents
from console.clouds.contract import UnmanagedBucket
from console.operations.models import HELD_BACK, Operation
from console.operations.snapshots import Snapshot
from console.restoration.models import Restoration
from console.wsgi import application
from stores.control_status import ControlStatus
from stores.models import BucketLook, DeletionPreview, DriftReport, IgnoredBucket, RetainedLogs, State, UnmanagedScan
from tests import factories, walk
from tests.clusters.reports.sent import content, stanza
from tests.fuzz.rows import alerts, brought_in, done, seen
from tests.walk import Harvest, Route

# What may change although the answer was a refusal: sessions, and the records of refusals themselves.
RECORDS = re.compile(r"session|cache|audit|log_?entry|admin_log|attempt|rate", re.I)
WRITES = re.compile(r'\s*(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM|REPLACE INTO)\s+"?(\w+)"?', re.I)
SOURCE_NAMES = re.compile(r"""(?:GET|POST|given|data)\b[\w.]*[(\[]\s*["']([\w-]+)["']|["']([\w-]+)["'] in request\.""")


class Sender(RequestFactory):
    """Asks the WSGI application itself; its answer is whatever the last middleware made."""

    def request(self, **environ: Any) -> Any:
        given = {**self._base_environ(**environ), "wsgi.errors": StringIO()}
        answer = HttpResponse()

        def start(status, headers):
            answer.status_code = int(status.split()[0])
            for name, value in headers:
                answer[name] = value

        answer.content = b"".join(application(given, start))
        return answer


gate.open = True  # it would write down whose database this is, in the midst of a request
SENDER, TOKEN = Sender(), "t" * 32
VISITS = 6  # of the page of one cluster after another: there are five
FEW_VISITS = 2  # of a page with different query strings, and of what can be done with one row after another
QUERIES_OF_AN_ADMIN_LIST = (
    "q",
    "o",
    "p",
    "e",
    "all",
    "id__exact",
    "state__exact",
    "created_at__gte",
    "_popup",
)


@dataclass
class Found:
    """What is known of one route."""

    own: dict[str, Any] = field(default_factory=dict)  # its arguments: of the organisation that is fuzzed
    foreign: dict[str, Any] = field(default_factory=dict)
    queries: dict[str, set[str]] = field(default_factory=dict)  # names, with values that pages use
    fields: dict[str, set[str]] = field(default_factory=dict)


class World:
    """Acme, its neighbour, and a client for each role; everything that an example does is undone after it."""

    def __init__(self) -> None:
        self.routes = walk.routes()
        self._routes: dict[str, Route | None] = {}  # by path
        self.organisation, self.neighbour = _organisation("Acme"), _organisation("Neighbour")
        roles = ("owner", "admin", "auditor", "viewer")
        people = {role: factories.user(role, self.organisation, role) for role in roles}
        people["stranger"] = factories.user("stranger", self.neighbour, "admin")
        people["newcomer"] = factories.user("newcomer")
        people["starter"] = factories.user("starter", factories.organisation("Starters", "developer"), "owner")
        people["support"] = factories.user("support", is_staff=True, is_superuser=True)
        second = factories.organisation("Second")
        Membership.objects.create(organisation=second, user=people["owner"], role="viewer")
        for member in Membership.objects.filter(user__in=people.values()):
            external_id(member)  # Link Cloud Account makes it when it is first shown, be that beside a refusal
        self.cookies = {role: _cookie(person) for role, person in people.items()} | {"nobody": ""}
        # The owner again, whose password was given ten minutes ago, or yesterday.
        self.cookies |= {"ten minutes": _cookie(people["owner"], -600), "a day": _cookie(people["owner"], -24 * 3600)}
        self.found = {route.pattern: Found() for route in self.routes}
        self.pages: dict[str, str] = {}  # what the owner was shown, by address
        self._walk("nobody", ["/login/"])
        self._walk("owner", [one.path({}) for one in self.routes if not one.arguments and not one.is_admin])
        self._walk(
            "support", [one.path(self._row(one)) for one in self.routes if one.is_admin and self._row(one) is not None]
        )
        self._borrow_arguments()
        with _restored(self.organisation, self.neighbour):
            self._walk("owner", ["/restoration/"], "restoration/")
            self._name_the_neighbours()
        self._read_sources()
        self.values: dict[str, list[str]] = {}  # by name, whatever page sends it
        for found in self.found.values():
            for name, values in (*found.queries.items(), *found.fields.items()):
                self.values[name] = sorted({*self.values.get(name, []), *values})
        self.values |= {"username": [*people], "password": ["secret"]}
        self.keys = sorted(
            {str(value) for one in self.found.values() for each in (one.own, one.foreign) for value in each.values()}
        )
        self.before = self._fingerprint()

    # What there is

    def _walk(self, role: str, starts: list[str], below: str = "") -> None:
        """Follow every link and form, and keep what the addresses and the fields were.

        The page of a row, and of its drills, which lead to others, are visited VISITS times, others FEW_VISITS times,
        and once if the address is not below what is given.
        """
        waiting, visits = starts, Counter[str]()
        seen = set()
        while waiting:
            address = waiting.pop(0)
            if address in seen:
                continue
            seen.add(address)
            route = self._route(address)
            if route is None:
                continue
            found, parts = self.found[route.pattern], urlsplit(address)
            found.own = found.own or walk.arguments(address)
            for name, value in parse_qsl(parts.query, keep_blank_values=True):
                found.queries.setdefault(name, set()).add(value)
            visits[route.pattern] += 1
            most = VISITS if route.pattern.endswith((">/", "/drills/")) else FEW_VISITS
            if visits[route.pattern] > (most if route.pattern.startswith(below) and not route.is_admin else 1):
                continue
            with undone():
                answer = self.ask(role, "GET", address)
            if answer.status_code in {301, 302}:
                waiting.append(urljoin(address, answer["Location"]))
            if answer.status_code != 200 or not answer.get("Content-Type", "").startswith("text/html"):
                continue
            text = answer.content.decode()
            if role == "owner":
                self.pages[address] = text
            harvest = Harvest(parts.path, text)
            waiting.extend(harvest.links if not route.is_admin else ())
            for method, action, values in harvest.forms:
                if leads := self._route(action):
                    known = self.found[leads.pattern]
                    known.own = known.own or walk.arguments(action)
                    for name, value in parse_qsl(urlsplit(action).query):
                        known.queries.setdefault(name, set()).add(value)
                    where = known.fields if method == "post" else known.queries
                    for name, given in values.items():
                        if name == "csrfmiddlewaretoken":  # each request has the right one
                            continue
                        where.setdefault(name, set()).update(given)
                    if method == "get" and leads is route:
                        waiting.extend(f"{parts.path}?{urlencode({n: v})}" for n, vs in values.items() for v in vs if v)

    def _route(self, address: str) -> Route | None:
        """The route of an address: pages link to the same few again and again."""
        path = urlsplit(address).path
        if path not in self._routes:
            self._routes[path] = walk.find(path, self.routes)
        return self._routes[path]

    def _row(self, route: Route) -> dict[str, Any] | None:
        """The first row of an admin's page; None for a page that has none."""
        admin = getattr(route.view, "model_admin", None)
        if not route.arguments:
            return {}
        return {"object_id": admin.model._default_manager.values_list("pk", flat=True).first()} if admin else None

    def _borrow_arguments(self) -> None:
        """Give a route that no page leads to the arguments of the one whose address is most like its own."""
        for route in self.routes:
            found = self.found[route.pattern]
            if found.own or not route.arguments:
                continue
            others = [one for one in self.routes if {*route.arguments} <= {*self.found[one.pattern].own}]
            tried: list[dict[str, Any]] = []
            for one in sorted(others, key=lambda one: -len(commonpath((one.pattern, route.pattern)))):
                values = {name: self.found[one.pattern].own[name] for name in route.arguments}
                if values in tried:  # many pages are about the same row
                    continue
                tried.append(values)
                with undone():
                    status = self.ask("owner", "GET", route.path(values)).status_code
                    if status == 405:  # it takes nothing but POST
                        status = self.ask("owner", "POST", route.path(values)).status_code
                if status != 404:
                    found.own = values
                    break

    def _name_the_neighbours(self) -> None:
        """Know for each of Acme's rows the neighbour's row that is like it: both were made in the same way."""
        self.twins: dict[str, Any] = {}
        for model in apps.get_models():
            # Numbers are keys of many tables; those of members are in addresses.
            if hasattr(model, "organisation") and (isinstance(model._meta.pk, UUIDField) or model is Membership):
                order = "created_at" if hasattr(model, "created_at") else "pk"
                ours, theirs = (
                    model._default_manager.filter(organisation=one).order_by(order).values_list("pk", flat=True)
                    for one in (self.organisation, self.neighbour)
                )
                self.twins |= {str(mine): its for mine, its in zip(ours, cycle(theirs), strict=False)}
        # Of a bucket that is looked at, another column is in addresses.
        keys = [
            BucketLook.objects.filter(cloud_account__organisation=one).order_by("pk").values_list("key", flat=True)
            for one in (self.organisation, self.neighbour)
        ]
        keys_of_lists = [
            Bringing.objects.filter(organisation=one, batch__isnull=False).values_list("batch", flat=True)
            for one in (self.organisation, self.neighbour)
        ]
        self.twins |= {str(mine): its for two in (keys, keys_of_lists) for mine, its in zip(*two, strict=True)}
        # Repositories have numbers, too.
        ours, theirs = (
            Repository.objects.filter(organisation=one).order_by("pk").values_list("pk", flat=True)
            for one in (self.organisation, self.neighbour)
        )
        repositories = {str(mine): its for mine, its in zip(ours, theirs, strict=True)}
        for pattern, found in self.found.items():
            twins = repositories if pattern.startswith("clusters/repositories/") else self.twins
            found.foreign = {name: twins.get(str(value), value) for name, value in found.own.items()}

    def _read_sources(self) -> None:
        """Add the names that the views read, for those that no page sends."""
        for route in self.routes:
            module = inspect.getmodule(inspect.unwrap(route.view))
            text = inspect.getsource(module) if module and module.__name__.split(".")[0] not in {"django"} else ""
            names = {one or other for one, other in SOURCE_NAMES.findall(text)}
            found = self.found[route.pattern]
            for name in (
                *names,
                *(QUERIES_OF_AN_ADMIN_LIST if route.is_admin else ("q", "after", "before", "page", "next")),
            ):
                found.queries.setdefault(name, set())
                found.fields.setdefault(name, set())

    @contextmanager
    def restored(self):
        """Have both be compared with what is there until the end of the block, as after a copy was restored."""
        before = self.before
        with _restored(self.organisation, self.neighbour):
            self.before = self._fingerprint()
            yield
        self.before = before

    # What is asked

    def ask(self, role: str, method: str, path: str, data: bytes = b"", *, kind: str = "", **environ: str) -> Any:
        cookies = (self.cookies[role], f"{settings.CSRF_COOKIE_NAME}={TOKEN}", environ.pop("HTTP_COOKIE", ""))
        environ = {"HTTP_HOST": "localhost", "HTTP_X_CSRFTOKEN": TOKEN, "HTTP_COOKIE": "; ".join(cookies), **environ}
        return SENDER.generic(method, path, data, kind or "application/x-www-form-urlencoded", **environ)

    def changes(self) -> list[str]:
        """The tables that are not as they were, of those that a refusal must not change."""
        now = self._fingerprint()
        return [name for name in now if now[name] != self.before[name]]

    def rows_naming(self, key: Any) -> set[str]:
        """The rows of any table in which the key stands."""
        return {row for rows in self._fingerprint().values() for row in rows if str(key) in row}

    def _fingerprint(self) -> dict[str, list[Any]]:
        return {
            model._meta.db_table: sorted(map(repr, model._default_manager.values_list()))
            for model in apps.get_models(include_auto_created=True)
            if model._meta.managed
            and not model._meta.proxy
            and not RECORDS.search(model._meta.db_table)
            and not issubclass(model, Snapshot)  # asked for by whatever shows it
        }


@contextmanager
def undone():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def _restored(*organisations: Any):
    """Have these be compared with what is there, with a deletion that is held back, until the end of the block."""
    with undone():
        for one in organisations:
            Restoration.objects.create(organisation=one, found_by="a test")
            store = one.stores.get(name="spare")
            Operation.objects.create(
                id=uuid5(NAMESPACE_OID, str(one.pk)), organisation=one, subject_kind="store", subject_id=store.pk,
                subject_name="spare", verb="delete", title="Delete Backup Store", state="waiting", due_at=HELD_BACK,
                subject_state_before=store.state,
            )  # fmt: skip
        yield


@contextmanager
def writes():
    """Collect the tables that are written to."""
    tables: set[str] = set()

    def watch(execute, sql, parameters, many, context):
        if found := WRITES.match(sql):
            tables.add(found[1])
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(watch):
        yield tables


def _cookie(person: Any, later: float = 24 * 3600) -> str:
    """The cookie of a session whose password was given so many seconds later than now.

    A day: it is to count as just given however long the walks take.
    """
    client = Client()
    client.force_login(person)
    session = client.session
    session[CONFIRMED_AT] += later
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def _organisation(name: str) -> Any:
    """An organisation in which every page has something to show."""
    organisation = factories.organisation(name)
    account = factories.account(organisation)
    server = factories.server(organisation)
    store = factories.store(account, name="orders")
    for other, region in (
        (factories.azure(organisation), "westeurope"),
        (factories.google(organisation), "europe-west1"),
    ):
        factories.store(other, name=f"{other.name}-orders", region=region)
        done(clusters.create(other, name=f"{other.name}-cluster", regions=[region], stores=[], by=None))
    spare = factories.store(account, name="spare", region="us-east-1", versions_days=30, lock_days=7)
    degraded = factories.store(account, name="degraded", state=State.DEGRADED)
    factories.failed_store(account, name="failed")
    line = ControlStatus(
        "policy",
        "Policy",
        degraded.bucket,
        False,
        "off",
        "ours",
        "another",
        {},
        {"a": 1},
        False,
        "{}",
        timezone.now().isoformat(),
    )
    DriftReport.objects.create(store=degraded, content=[line.kept()], read_at=timezone.now())
    DeletionPreview.objects.create(
        store=store, content={"contents": asdict(Contents(objects=3, size=9))}, read_at=timezone.now()
    )
    gone = uuid4()
    Operation.objects.create(
        organisation=organisation, subject_kind="store", subject_id=gone, subject_name="lost", verb="create",
        title="Create Backup Store", state="done", finished_at=timezone.now(),
    )  # fmt: skip
    explained = account.cloud.storage.names(gone, "eu-west-1", account.number)[0]
    hidden = f"{explained[:-5]}xxxxx"
    leftovers = [
        UnmanagedBucket(one, "eu-west-1", timezone.now().isoformat(), "backup", str(gone))
        for one in (explained, hidden)
    ]
    UnmanagedScan.objects.create(
        cloud_account=account, content=[asdict(one) for one in leftovers], read_at=timezone.now()
    )
    IgnoredBucket.objects.create(cloud_account=account, bucket=hidden, by_name="alice")
    BucketLook.objects.create(
        cloud_account=account, bucket=f"{name.lower()}-archive", name="archive", read_at=timezone.now(),
        content=seen(f"{name.lower()}-archive"),
    )  # fmt: skip
    RetainedLogs.objects.create(
        organisation=organisation, cloud_account=account, store_id=uuid4(), store_name="old", region="eu-west-1",
        bucket=f"{name.lower()}-old-logs", expires_at=timezone.now(),
    )  # fmt: skip
    Preflight.objects.create(cloud_account=account, content=[], read_at=timezone.now())
    cluster = clusters.create(account, name="cluster", regions=["eu-west-1", "us-east-1"], stores=[store], by=None)
    done(cluster)
    busy = clusters.create(server, name="by-hand", regions=["us-east-1"], stores=[], by=None)
    CloudAccount.objects.filter(pk=server.pk).update(settings={**server.settings, "has": "ownership versioning"})
    done(busy)
    Database.objects.create(cluster=cluster, name="ledger", version="17", data_directory="/var/lib/postgresql/17/main")
    first, second = cluster.nodes.all()
    Node.objects.filter(pk=first.pk).update(
        status=of_json(json.dumps(content(stanzas=[stanza("ledger")])).encode()).status(), reported_at=timezone.now()
    )
    RemovedNode.objects.create(
        cluster=cluster, name="n9", region="eu-west-1", applied_sha256="", reported_at=timezone.now()
    )
    BackupPolicy.objects.create(cluster=cluster, node=second)
    Stanza.objects.create(
        cluster=cluster, node=first, database=cluster.databases.get(), system_id="7711134786693777346"
    )
    backup = Backup("20260101-010000F", "full", 1, 2, 3, 4, "", "", "7711134786693777346", False)
    Inventory.objects.create(
        repository=cluster.repositories.get(),
        content=as_json([StanzaState("n1", "ledger", "read", "", "7711134786693777346", "17", [backup])]),
        read_at=timezone.now(),
    )
    now = timezone.now()
    lost = {"backup": asdict(backup), "seen_at": now.isoformat(), "missed_at": now.isoformat()}
    KnownStanza.objects.create(
        repository=cluster.repositories.get(), node="n2", name="ledger", seen_at=now, lost=[lost], lost_since=now,
        sizes=[["2026-01-01", 4, 0], ["2026-01-09", 0, 0]], made=[["20260101-010000F", 1_767_229_260, 60, 4]],
    )  # fmt: skip
    drill = Drill.objects.create(cluster=cluster, schedule="0 3 * * 0", machine="drills-1", checks="SELECT 1 => 1")
    Drill.objects.create(cluster=cluster, schedule="0 4 * * 0", what="verify")
    DrillRun.objects.create(
        organisation=organisation, cluster=cluster, cluster_name="cluster", drill=drill, number=1, node="n1",
        repository=cluster.repositories.get(), database="ledger", what="restore", run_id=uuid4().hex, due_at=now,
        state="failed", words="It failed.", results=[{"number": 1, "sql": "SELECT 1", "ok": False, "said": "2"}],
    )  # fmt: skip
    retained = Repository.objects.create(
        organisation=organisation, cluster_name="old", prefix="c-abcdefghijkl", store=store, store_name=store.name,
        bucket=store.bucket, region=store.region, number=1, secrets=new_passphrase(), detached_at=timezone.now(),
    )  # fmt: skip
    KnownStanza.objects.create(repository=retained, node="n1", name="ledger", postgresql="17", data_directory="/data")
    alerts(organisation, cluster)
    factories.user(f"guest of {name}", organisation, "viewer")
    owner = factories.user(f"host of {name}", organisation, "owner")
    members.invite(organisation, email="nina@example.com", role="viewer", by=owner)
    service = tokens.make_service_account(organisation, name="deployer", role="viewer", by=owner)
    good = {"kind": "token", "scopes": ["see_stores"], "expires_at": timezone.now() + timedelta(days=30)}
    tokens.issue(service, name="pipeline", **good, by=owner)
    enrolled, _ = enrolment.begin(organisation, nodes=[first, second], hostnames={}, hours=4, by=owner)
    enrolled.places.filter(node=first).update(taken_at=now, times=1)
    judging.judge_due()
    activity.record("Made the world", name, organisation=organisation, by=None)
    brought_in(account, spare)  # not judged: what is not well comes first on the first page
    return organisation
