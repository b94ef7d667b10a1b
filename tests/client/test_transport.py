"""What a call does when the network, a proxy or the console is not as it should be."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
import storekeeper
from storekeeper import Client, core, transport

from tests.client.scripted import problem, scripted, task

STORE = {"id": "s-1", "name": "orders", "state": "creating"}
BEGUN = (202, STORE, {"Location": "/api/v1/tasks/t-1"})


def create(client):
    return client.create_store(name="orders", cloud_account_id="a-1")


def test_a_call_sends_its_token_and_its_fields_and_no_more(client, script):
    script.say(BEGUN)
    begun = create(client)
    [asked] = script.asked
    assert (asked.method, asked.path, asked.json) == (
        "POST",
        "/api/v1/stores",
        {"name": "orders", "cloud_account_id": "a-1"},
    )
    assert (asked.headers["authorization"], asked.headers["content-type"]) == ("Bearer sk_test", "application/json")
    assert (begun.row["name"], begun.task) == ("orders", "t-1")
    client.create_store(name="orders", cloud_account_id="a-1", lock_days=None)
    assert script.asked[1].json["lock_days"] is None


def test_one_that_must_wait_waits_as_long_as_it_is_told_and_sends_the_same_key(client, script):
    script.say(problem(429, "Too many."), (429, {}, {"Retry-After": "7"}), (503, {}, {}), BEGUN)
    assert create(client).task == "t-1"
    keys = {one.headers["idempotency-key"] for one in script.asked}
    assert (len(script.asked), len(keys)) == (4, 1)
    assert client.slept[1] >= 7
    create(client)
    assert script.asked[-1].headers["idempotency-key"] not in keys


def test_what_may_have_been_done_is_not_sent_again_without_a_key(client, script):
    script.say((503, {}, {}), (202, STORE))
    with pytest.raises(storekeeper.ConsoleDown):
        client.delete_store("s-1")
    assert len(script.asked) == 1
    script.say((429, {}, {"Retry-After": "1"}), (202, STORE))
    client.delete_store("s-1")  # a limit is asked for before anything is done
    assert len(script.asked) == 2


def test_one_that_never_may_says_so_and_gives_up_within_its_patience(client, script):
    script.say(problem(429, "At most 600 calls in a minute."))
    with pytest.raises(storekeeper.TooManyCalls, match="At most 600"):
        client.me()
    assert len(script.asked) == transport.TRIES
    script.say((429, {}, {"Retry-After": "3600"}))
    with pytest.raises(storekeeper.TooManyCalls) as caught:
        client.me()
    assert (len(script.asked), caught.value.retry_after) == (1, 3600)


def test_an_answer_that_was_lost_is_asked_for_again_by_the_same_key(client, script):
    script.say(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), BEGUN)
    assert create(client).task == "t-1"
    assert script.asked[0].headers["idempotency-key"] == script.asked[1].headers["idempotency-key"]
    script.say(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    with pytest.raises(storekeeper.Unreachable, match=r"broke off|speak HTTP"):
        client.delete_store("s-1")
    assert len(script.asked) == 1


def test_a_refusal_says_which_field_and_which_request(client, script):
    script.say(
        problem(422, "Some fields are wrong.", errors=[{"pointer": "/region", "detail": "There is no region X."}])
    )
    with pytest.raises(storekeeper.Invalid) as caught:
        create(client)
    assert str(caught.value) == "region: There is no region X. (request r-1)"
    assert (caught.value.status, caught.value.request_id) == (422, "r-1")
    assert caught.value.errors == (("/region", "There is no region X."),)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 422, 428, 429, 500, 503, 418])
def test_each_status_is_an_error_of_its_kind(client, script, status):
    script.say(problem(status, "No."))
    client.transport.patience = 0
    with pytest.raises(storekeeper.ApiError) as caught:
        client.me()
    kind = storekeeper.errors.BY_STATUS.get(status, storekeeper.ConsoleDown if status >= 500 else storekeeper.ApiError)
    assert type(caught.value) is kind


def test_all_pages_are_read_each_when_it_is_needed(client, script):
    script.say((200, {"items": [{"id": 1}, {"id": 2}], "next": "two"}), (200, {"items": [{"id": 3}], "next": None}))
    rows = client.list_stores(limit=2, state="available")
    assert [next(rows)["id"], next(rows)["id"], len(script.asked)] == [1, 2, 1]
    assert [row["id"] for row in rows] == [3]
    assert script.asked[1].path == "/api/v1/stores?limit=2&cursor=two&state=available"


def test_a_cursor_that_leads_in_a_circle_ends(client, script):
    script.say((200, {"items": [], "next": "same"}))
    with pytest.raises(storekeeper.NotTheConsole, match="same cursor"):
        list(client.list_stores())


def drip(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def test_an_answer_that_drips_ends_at_the_deadline(client, script):
    script.say(drip)
    client.transport.deadline, client.transport.patience = 0.7, 0
    began = time.monotonic()
    with pytest.raises(storekeeper.Unreachable, match="did not answer within 1 seconds"):
        client.me()
    assert time.monotonic() - began < 9  # all of it takes more than ten seconds


def test_an_answer_without_an_end_is_cut(client, script, monkeypatch):
    monkeypatch.setattr(transport, "LONGEST", 1 << 20)
    script.say((200, b"x" * (2 << 20)))
    with pytest.raises(storekeeper.NotTheConsole, match="more than 1 MB"):
        client.me()


def test_a_cut_answer_is_no_answer(client, script):
    def cut(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
        handler.close_connection = True

    script.say(cut)
    with pytest.raises(storekeeper.Unreachable):
        client.me()


def test_nobody_is_followed_to_another_address(client, script):
    script.say((302, b"", {"Location": "https://elsewhere.example/", "Content-Type": "text/html"}))
    with pytest.raises(storekeeper.NotTheConsole, match=r"leads to https://elsewhere\.example/"):
        client.me()
    script.say((202, STORE, {"Location": "https://elsewhere.example/api/v1/tasks/t-1"}))
    assert create(client).place == ""
    assert len(script.asked) == 1


def test_something_else_that_answers_is_not_the_console(client, script):
    script.say((404, b"<h1>Not Found</h1>", {"Content-Type": "text/html"}))
    with pytest.raises(storekeeper.NotTheConsole, match="Is that its address"):
        client.me()
    script.say((200, b"<h1>Hello</h1>", {"Content-Type": "text/html"}))
    with pytest.raises(storekeeper.NotTheConsole, match="no JSON"):
        client.me()
    script.say((200, b"[" * 100_000))
    with pytest.raises(storekeeper.NotTheConsole, match="no JSON"):
        client.me()


def test_where_nobody_listens_it_is_said_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    client = Client(url, "sk_test")
    client.transport.sleep = lambda seconds: None
    with pytest.raises(storekeeper.Unreachable, match="cannot be reached: Connection refused"):
        client.me()
    client = Client("https://console.invalid", "sk_test")
    client.transport.sleep = lambda seconds: None
    with pytest.raises(storekeeper.Unreachable, match=r"no host console\.invalid, or no network"):
        client.me()


@pytest.mark.parametrize(
    "url",
    ["", "console", "ftp://a", "http://console.example.org", "https://a:b@c", "https://a/?x=1", "https://a:99999", "https://[",
     "https://a b", "https://"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url):
    with pytest.raises(storekeeper.WrongUse):
        Client(url, "sk_test")


@pytest.mark.parametrize("token", ["a\nb", "ü€", "a\r\nX-Other: 1"])
def test_a_token_that_no_header_holds_is_refused(script, token):
    with pytest.raises(storekeeper.WrongUse):
        Client(script.url, token).me()
    assert script.asked == []


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_never_leaves_its_place_in_the_path(client, script, name):
    with pytest.raises(storekeeper.WrongUse):
        client.get_store(name)
    client.get_store("../tokens?x=1#")
    assert script.asked[0].path == "/api/v1/stores/..%2Ftokens%3Fx%3D1%23"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for this machine that no system trusts, and its key: as files."""
    folder = tmp_path_factory.mktemp("authority")
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    where = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *kind.split(), *where.split()], cwd=folder, check=True, capture_output=True)
    return folder


def test_a_ca_of_ones_own_is_trusted_when_it_is_named_and_no_other_is(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    with scripted(context) as script:
        script.say((200, {"username": "ada"}))
        with pytest.raises(storekeeper.Unreachable, match="is not trusted: self-signed certificate"):
            Client(script.url, "sk_test", patience=0).me()
        assert Client(script.url, "sk_test", ca_file=str(authority / "cert.pem")).me()["username"] == "ada"
        assert len(script.asked) == 1
    with pytest.raises(storekeeper.WrongUse, match="holds no certificates"):
        Client("https://a", "sk_test", ca_file=str(authority / "nothing.pem"))


def test_client_credentials_are_changed_for_a_token_which_is_renewed_when_it_is_refused(script):
    given = (200, {"token_type": "Bearer", "access_token": "ska_one", "expires_in": 86400})
    script.say(
        given,
        (200, {}),
        problem(401, "It is over."),
        (200, {"access_token": "ska_two", "expires_in": 86400}),
        (200, {}),
    )
    client = Client(script.url, client_id="skc_1", client_secret="secret")
    client.me()
    client.me()
    assert [one.headers.get("authorization") for one in script.asked] == [
        None, "Bearer ska_one", "Bearer ska_one", None, "Bearer ska_two",
    ]  # fmt: skip
    assert script.asked[0].path == "/v1/oauth/token"
    assert "secret" not in repr(client.credentials)
    script.say((400, {"code": 400, "message": "Wrong client_id or client_secret."}))
    with pytest.raises(storekeeper.NotSignedIn, match="Wrong client_id"):
        Client(script.url, client_id="skc_1", client_secret="no").me()


def test_a_task_is_waited_for_and_tells_each_time_how_far_it_is(client, script):
    script.say(BEGUN, (200, task("running")), (200, task("done", 100)))
    seen = []
    ended = create(client).wait(on_look=lambda one: seen.append(one["progress"]))
    assert (ended["state"], seen) == ("done", [50, 100])
    assert script.asked[1].path == "/api/v1/tasks/t-1?wait=5"
    assert len(client.slept) == 1  # the console answered at once, so it has no place for one that waits
    script.say(BEGUN, (200, task("done")))
    create(client).wait()
    assert script.asked[1].path == "/api/v1/tasks/t-1?wait=30"


@pytest.mark.parametrize("state", ["failed", "refused", "cancelled"])
def test_a_task_that_has_ended_otherwise_says_why(client, script, state):
    script.say(BEGUN, (200, task(state, error="The bucket is not empty.")))
    with pytest.raises(storekeeper.TaskFailed, match=f"Create Backup Store: {state}: The bucket is not empty"):
        create(client).wait()


def test_a_task_that_takes_too_long_goes_on_without_the_one_who_waits(client, script):
    script.say(BEGUN, (200, task("running")))
    now = iter(range(0, 1000, 4))
    client.clock = lambda: next(now)
    with pytest.raises(storekeeper.StillRunning, match="still runs after 20 seconds"):
        create(client).wait(20)
    assert core.LONG_LOOK <= 30


def test_an_attempt_that_is_no_task_is_followed_by_its_state(client, script):
    at = {"Location": "/api/v1/cloud-account-attempts/k-1"}
    script.say((202, STORE, at), (200, {"state": "waiting", "error": ""}), (200, {"state": "done", "error": ""}))
    assert create(client).wait()["state"] == "done"
    script.say((202, STORE, at), (200, {"state": "refused", "error": "No such role.", "verb": "link"}))
    with pytest.raises(storekeeper.TaskFailed, match=r"link: refused: No such role\."):
        create(client).wait()
    script.say((202, STORE, {"Location": "/api/v1/stores/s-1/drift"}), (200, {"findings": []}))
    assert create(client).wait() == {"findings": []}


def test_an_etag_comes_with_the_row_and_goes_back_in_quotes(client, script):
    script.say((200, {"id": "c-1"}, {"ETag": '"7"'}))
    assert storekeeper.etag(client.get_cluster("c-1")) == '"7"'
    argument = {"name": "if_match", "sent": "If-Match", "place": "header", "type": "string", "is_required": False}
    operation = core.operations()["delete_store"]
    both = (*operation.arguments, storekeeper.operations.Argument(**argument))
    for value in ("7", '"7"'):
        client.ask(type(operation)(**{**operation.__dict__, "arguments": both}), {"pk": "s-1", "if_match": value})
        assert script.asked[-1].headers["if-match"] == '"7"'


def test_threads_can_share_a_client(client, script):
    script.say((200, {"username": "ada"}))
    found = []
    threads = [threading.Thread(target=lambda: found.append(client.me()["username"])) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert found == ["ada"] * 8


def test_it_starts_where_there_is_python_and_nothing_else(script):
    program = f"import storekeeper; print(storekeeper.Client({script.url!r}, 'sk_test').me()['username'])"
    script.say((200, {"username": "ada"}))
    source = str(core.__file__).removesuffix("/storekeeper/core.py")
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", f"import sys; sys.path.insert(0, {source!r}); {program}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == ("ada\n", "")
