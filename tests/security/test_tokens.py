"""Tokens of the API, guessed, replayed, expired, with another scope, and used by a web page."""

import base64
import contextlib
import http.client
import time

import pytest

from actors.meters import Meters
from mesh.addresses import TcpAddress
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.reading_guard import ReadingGuard
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.control.tokens import FAILURES_BURST, FAILURES_PER_S, Tokens, new_token, token_hash
from mesh.agent.dashboard.listening import take_port
from mesh.agent.dashboard.stamps import KEPT_WHILE
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.http import HttpSide
from mesh.config.schema import HttpSection, TokenSection
from scripts.lab.ports import Ports

THINGS = "/api/v1/things"
CHANGED = []
TOKENS = {name: new_token() for name in ("reader", "deploy", "old")}
HELD = (
    TokenSection(name="reader", hash=token_hash(TOKENS["reader"]), scope="read"),
    TokenSection(name="deploy", hash=token_hash(TOKENS["deploy"])),
    TokenSection(name="old", hash=token_hash(TOKENS["old"]), expires_unix_s=1_000.0),
)


class Noted:
    def __init__(self):
        self.entries = []

    def note(self, kind, facts):
        self.entries.append(facts)


class Unready:
    def dashboard_snapshot(self, timeout_s):
        raise StatusUnavailable("secret names")


def show(call: Call[Nothing, Nothing]) -> str:
    """Show something."""
    return "shown"


def change(call: Call[Nothing, Nothing]) -> None:
    """Change something."""
    CHANGED.append(call.caller)


ROUTES = (Route(Method.GET, THINGS, show), Route(Method.POST, THINGS, change, changes=True))


@pytest.fixture
def noted():
    CHANGED.clear()
    return Noted()


@pytest.fixture
def side(noted):
    """An HTTP address on every interface."""
    with contextlib.closing(Ports()) as ports:
        port = ports.reserve("0.0.0.0")
        section = HttpSection(address=TcpAddress("0.0.0.0", port), tokens=HELD)
        side = HttpSide(section, take_port(section))
    with contextlib.closing(side):
        side.meters = Meters()
        side.serve(side.dashboard(Unready(), side.meters), ROUTES, audit=noted)
        side.port = port
        side.section = section
        yield side


def ask(side, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", side.port, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        answer.body = answer.read()
        return answer


def bearer(name):
    return f"Bearer {TOKENS.get(name, name)}"


def password(name):
    return "Basic " + base64.b64encode(f"ann:{TOKENS[name]}".encode()).decode()


def test_nobody_from_elsewhere_reads_without_a_token(side):
    for path in ("/", "/api/dashboard", "/metrics", "/dashboard.js", THINGS, "/api/topology", "/nothing"):
        answer = ask(side, path)
        assert answer.status == 401
        assert answer.getheader("Cache-Control") == "no-store"
        assert "Basic" in answer.getheader("WWW-Authenticate")
        assert b"token" in answer.body
    assert ask(side, "/metrics", "HEAD").body == b""


def test_load_balancers_are_told_in_a_word(side):
    assert ask(side, "/health").status == 200
    answer = ask(side, "/ready")
    assert (answer.status, answer.body) == (503, b"not ready\n")
    assert b"secret names" in ask(side, "/ready", Authorization=bearer("reader")).body
    assert ask(side, "/ready", Host="evil.example").status == 403
    assert ask(side, "/ready", "HEAD").body == b""


def test_a_token_for_reading_reads_and_changes_nothing(side, noted, caplog):
    assert ask(side, THINGS, Authorization=bearer("reader")).body == b'"shown"'
    answer = ask(side, THINGS, "POST", Authorization=bearer("reader"))
    assert (answer.status, CHANGED) == (403, [])
    assert "insufficient_scope" in answer.getheader("WWW-Authenticate")
    assert "the token of reader, which is for reading" in caplog.text
    assert "the token of reader" in noted.entries[-1]["who"]
    assert noted.entries[-1]["code"] == 403
    assert side.meters.tokens_refused == 1


def test_a_token_for_changes_reads_too(side, noted):
    assert ask(side, THINGS, Authorization=bearer("deploy")).status == 200
    assert ask(side, THINGS, "POST", Authorization=bearer("deploy")).status == 204
    assert CHANGED == ["the token of deploy"]
    assert [entry["code"] for entry in noted.entries] == [204]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_that_has_expired_is_good_for_nothing_and_told_by_name(side, noted, caplog, method):
    answer = ask(side, THINGS, method, Authorization=bearer("old"))
    assert (answer.status, CHANGED) == (401, [])
    assert b"expired at 1970-01-01T00:16:40Z" in answer.body
    assert "the token of old, which has expired" in caplog.text
    assert noted.entries[-1]["code"] == 401


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_guesses_are_refused_counted_and_few_and_the_others_served(side, noted, caplog, method):
    began_at = time.monotonic()
    codes = [ask(side, THINGS, method, Authorization=bearer(f"mesh_{n}")).status for n in range(40)]
    most = FAILURES_BURST + FAILURES_PER_S * (time.monotonic() - began_at) + 1
    assert set(codes) == {401, 429}
    assert codes.count(401) <= most
    assert side.meters.tokens_refused == 40
    assert len(noted.entries) == codes.count(401)
    assert "with a token that is not good" in caplog.text
    assert ask(side, THINGS, "POST", Authorization=bearer("deploy")).status == 204
    assert not any(token in caplog.text for token in TOKENS.values())
    assert not any(token in str(noted.entries) for token in TOKENS.values())


def test_one_that_was_taken_out_cannot_be_replayed(side, noted, caplog):
    shown = bearer("deploy")
    assert ask(side, THINGS, "POST", Authorization=shown).status == 204
    side.change(HttpSection(address=side.section.address, tokens=HELD[:1]))
    assert ask(side, THINGS, "POST", Authorization=shown).status == 401
    assert ask(side, THINGS, Authorization=shown).status == 401
    assert len(CHANGED) == 1
    assert "with a token that is not good" in caplog.text
    assert [entry["code"] for entry in noted.entries[1:]] == [401, 401]
    assert side.meters.tokens_refused == 2


def test_an_answer_that_is_given_again_is_so_only_while_the_token_is_good(side):
    shown = {"Authorization": bearer("reader")}
    assert [ask(side, "/", **shown).status for _ in range(4)] == [200] * 4
    side.change(HttpSection(address=side.section.address, tokens=HELD[1:]))
    assert ask(side, "/", **shown).status == 401


def test_no_answer_is_kept_for_a_token_that_goes_while_it_is_judged():
    tokens = Tokens()
    tokens.allow(HELD, guard_reading=True)

    class Slow(Bearers):
        def judged(self, asking, scope):
            found = super().judged(asking, scope)
            tokens.allow((), guard_reading=True)
            return found

    def behind(environ, start_response):
        environ[KEPT_WHILE] = lambda: True
        return [b"secret names"]

    environ = {"PATH_INFO": "/", "REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": bearer("reader")}
    assert ReadingGuard(behind, Slow(tokens))(environ, None) == [b"secret names"]
    assert not environ[KEPT_WHILE]()


@pytest.mark.parametrize(
    "how",
    [
        {"path": f"{THINGS}?token={TOKENS['deploy']}"},
        {"Cookie": f"token={TOKENS['deploy']}"},
        {"Authorization": TOKENS["deploy"]},
        {"Authorization": f"Digest {TOKENS['deploy']}"},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic YQ=="},
        {"Authorization": f"Bearer {token_hash(TOKENS['deploy']).hex()}"},
        {"Authorization": f"Bearer {TOKENS['deploy'][:-1]}"},
        {"Authorization": f"Bearer {TOKENS['deploy']} {TOKENS['deploy']}"},
    ],
    ids=["query", "cookie", "bare", "digest", "no base64", "no colon", "hash", "cut", "twice"],
)
def test_a_token_is_taken_in_one_place_only(side, how):
    headers = dict(how)
    path = headers.pop("path", THINGS)
    for method in ("GET", "POST"):
        assert ask(side, path, method, **headers).status == 401
    assert CHANGED == []


def test_what_a_browser_has_been_told_reads_and_changes_nothing(side):
    assert ask(side, "/", Authorization=password("deploy")).status == 200
    assert ask(side, THINGS, Authorization=password("reader")).status == 200
    form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": "http://evil.example"}
    answer = ask(side, THINGS, "POST", Authorization=password("deploy"), **form)
    assert (answer.status, CHANGED) == (401, [])
    assert "Basic" not in answer.getheader("WWW-Authenticate")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_neither_reads_nor_changes_with_what_its_browser_has(side, site, caplog):
    for path in ("/api/dashboard", "/metrics", THINGS):
        answer = ask(side, path, Authorization=password("deploy"), Sec_Fetch_Site=site, Sec_Fetch_Mode="cors")
        assert answer.status == 403
        assert answer.getheader("Access-Control-Allow-Origin") is None
    assert side.meters.requests_foreign == 3
    assert "refused: a page of another site asks" in caplog.text
    assert ask(side, THINGS, Authorization=bearer("reader")).status == 200


def test_a_page_of_another_site_is_not_let_ask_with_a_token_that_it_has(side):
    """A browser asks first, and is not told that it may."""
    asked = {"Origin": "http://evil.example", "Access_Control_Request_Method": "POST"}
    answer = ask(side, THINGS, "OPTIONS", Access_Control_Request_Headers="authorization", **asked)
    assert answer.status == 401
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]


def test_an_address_that_moves_is_open_to_nobody_who_had_no_token(side):
    here = TcpAddress("127.0.0.1", side.port)
    side.change(HttpSection(address=here, tokens=HELD))
    assert ask(side, THINGS).status == 200
    assert ask(side, THINGS, "POST").status == 401
    side.change(HttpSection(address=side.section.address, tokens=HELD))
    assert ask(side, THINGS).status == 401


def test_an_address_that_moves_outwards_is_at_no_time_open_to_who_has_no_token(side, monkeypatch):
    here = HttpSection(address=TcpAddress("127.0.0.1", side.port), tokens=HELD)
    side.change(here)
    guarded = []
    allow = Tokens.allow

    def watched(self, tokens, *, guard_reading=False):
        guarded.append(guard_reading)
        allow(self, tokens, guard_reading=guard_reading)

    monkeypatch.setattr(Tokens, "allow", watched)
    side.change(side.section)
    assert guarded == [True, True]
