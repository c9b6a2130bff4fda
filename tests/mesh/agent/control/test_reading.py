"""What ``/api/v1/`` says of the mesh and of the agent itself; changes to a revision."""

import falcon.testing
import msgspec
import pytest

from mesh.addresses import TcpAddress
from mesh.agent.control.api import ControlApp
from mesh.agent.control.behind import Behind
from mesh.agent.control.requests import (
    AGENTS,
    AUDIT,
    CERTIFICATES,
    ENDPOINTS,
    LINKS,
    LISTENERS,
    PEERS,
    PLANS,
    RELOAD,
    REVOCATION_LISTS,
    ROUTES,
    SERVICES,
    STATUS,
)
from mesh.agent.dashboard.document import DocumentEncoder
from mesh.agent.dashboard.single_flight import Answer
from mesh.agent.dashboard.stamps import KEPT_WHILE, Stamp
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.dashboard.status import AsideExit, NoAnswer, ServiceStatus, SocksStatus
from mesh.agent.findings import Finding, FindingKind
from mesh.agent.layers import Layers
from mesh.agent.outcome import Added, Outcome, OutdatedError, Verdict
from mesh.agent.software import VERSION, software_build
from mesh.config.schema import Config, EndpointSection, ForwardSection, ListenerSection
from mesh.routing.pairings import UnmatchedEndpoint, UnmatchedListener
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity
from tests.mesh.agent.dashboard.conftest import NOON, Endpoint, Listener, Routes, three_agents

AUTHORITY = Identity(b"\x09" * 32)


class Member(msgspec.Struct, frozen=True):
    agent_id: bytes
    name: str
    certificate: object
    endpoints: tuple = ()
    listeners: tuple = ()
    round_trips: dict = {}
    carries_transit: bool = True
    draining: bool = False
    version: str | None = None


class MeshRoutes(Routes, frozen=True, kw_only=True):
    hop_counts: dict

    @property
    def names(self):
        return {agent_id: record.name for agent_id, record in self.records.items()}


def member(seed, name, **more):
    identity = Identity(bytes([seed]) * 32)
    wire = issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name=name,
        not_before=1,
        not_after=2_000_000_000,
        may_register=("*",),
        may_use=("*",),
        may_relay=True,
        may_manage=False,
    )
    return Member(identity.id, name, read_certificate(wire), **more)


RELAY = member(2, "relay")
HQ = member(3, "hq", endpoints=(Endpoint("api", "localhost:3000"), Endpoint("db", None)), version="1.1")
BRANCH = member(
    1,
    "branch",
    listeners=(Listener("api", "127.0.0.1:8001"),),
    round_trips={RELAY.agent_id: 2, HQ.agent_id: 0},
)
RELAY = msgspec.structs.replace(RELAY, round_trips={BRANCH.agent_id: 2, HQ.agent_id: 1})
HQ = msgspec.structs.replace(HQ, round_trips={RELAY.agent_id: 1})
FAR = member(4, "far")


def snapshot():
    members = {each.agent_id: each for each in (BRANCH, RELAY, HQ)}
    routes = MeshRoutes(
        BRANCH.agent_id,
        members,
        hop_counts={each: hops for hops, each in enumerate(members)},
    )
    return msgspec.structs.replace(
        three_agents(),
        agent_id=BRANCH.agent_id,
        routes=routes,
        listeners=(
            ServiceStatus(
                "web", "127.0.0.1:80", ServiceState.CLOSED, reason="port taken", configured="127.0.0.1:80"
            ),
            ServiceStatus(
                "api",
                "127.0.0.1:8001",
                ServiceState.OPEN,
                since_unix_s=NOON,
                aside=(AsideExit(FAR.agent_id, "far", "refused", NOON, NOON + 30.0),),
                configured="127.0.0.1:0",
            ),
        ),
        endpoints=(ServiceStatus("ssh", "localhost:22", ServiceState.WITHHELD, reason="refused"),),
        problems=(
            Finding(FindingKind.LISTENER, "listener web at 127.0.0.1:80: port taken", "free it", NOON),
        ),
        warnings=(Finding(FindingKind.NAME, "look at this"),),
        socks=(SocksStatus("127.0.0.1:1080", None),),
        portless=(UnmatchedListener("web", BRANCH.agent_id, "branch", "127.0.0.1:80", "port taken"),),
        withheld=(UnmatchedEndpoint("ssh", BRANCH.agent_id, "branch", "localhost:22", "refused"),),
    )


FILE = Config(
    forward=ForwardSection(
        endpoints=(EndpointSection(key="ssh", target=TcpAddress("localhost", 22), allow=("hq",)),),
        listeners=(ListenerSection(key="web", address=TcpAddress("127.0.0.1", 80)),),
    )
)
SAVED = ListenerSection(key="api", address=TcpAddress("127.0.0.1", 0), max_connections=4)


class Steered:
    def __init__(self):
        self.layers = Layers(FILE, (SAVED,))
        self.done = []

    def expecting(self, revision):
        if revision not in (None, self.layers.shown.revision):
            raise OutdatedError("another revision by now")
        return self

    def desired(self):
        return self.layers.shown

    def save(self, service):
        self.done.append(service)
        self.layers.saved += (service,)
        self.layers.show()
        return Added("it", "here", None)

    def remove(self, kind, key, address, *, resets=False):
        del resets
        self.done.append((kind, key, address))

    def replace_saved(self, saved, *, dry_run):
        self.done.append((saved, dry_run))
        return Outcome(Verdict.DONE)

    def reload(self):
        self.done.append("reload")
        return Outcome(Verdict.DONE)


@pytest.fixture
def steered():
    return Steered()


@pytest.fixture
def app(steered):
    shown = snapshot()
    behind = Behind(steered, lambda: Answer(shown, 0.25, 0.0), DocumentEncoder("1").pairings)
    return falcon.testing.TestClient(ControlApp(behind, None))


def test_agents_have_their_distance_and_what_they_do(app):
    page = app.simulate_get(AGENTS).json
    assert (page["total"], page["next_offset"], page["age_s"]) == (3, None, 0.25)
    rows = {row["name"]: row for row in page["rows"]}
    assert list(rows) == ["branch", "hq", "relay"]
    assert (rows["branch"]["is_local"], rows["branch"]["is_peer"]) == (True, False)
    assert (rows["relay"]["is_peer"], rows["relay"]["hop_count"]) == (True, 1)
    assert (rows["hq"]["hop_count"], rows["hq"]["endpoints"], rows["hq"]["listeners"]) == (2, 2, 0)
    assert (rows["hq"]["keys"], rows["hq"]["links"], rows["hq"]["draining"]) == (["api", "db"], 1, False)
    assert (rows["hq"]["version"], rows["relay"]["version"]) == ("1.1", None)
    assert rows["hq"]["certificate_not_after"] == 2_000_000_000
    one = app.simulate_get(f"{AGENTS}/{HQ.agent_id.hex()}").json
    assert one == rows["hq"]
    assert app.simulate_get(f"{AGENTS}/{FAR.agent_id.hex()}").status_code == 404


def test_lists_come_in_pages(app):
    first = app.simulate_get(AGENTS, params={"limit": 2}).json
    assert ([row["name"] for row in first["rows"]], first["next_offset"]) == (["branch", "hq"], 2)
    last = app.simulate_get(AGENTS, params={"limit": 2, "offset": 2}).json
    assert ([row["name"] for row in last["rows"]], last["next_offset"]) == (["relay"], None)
    assert app.simulate_get(AGENTS, params={"offset": 9}).json["rows"] == []
    for wrong in ({"limit": 0}, {"limit": 1001}, {"offset": -1}, {"offset": 2**40}, {"page": 1}):
        assert app.simulate_get(AGENTS, params=wrong).status_code == 400


def test_a_link_is_one_that_both_of_its_agents_tell_of(app):
    links = {
        frozenset((row["from_name"], row["to_name"])): row["rtt_at_most_ms"]
        for row in app.simulate_get(LINKS).json["rows"]
    }
    assert links == {frozenset(("branch", "relay")): 2.0, frozenset(("relay", "hq")): 1.0}


def test_services_say_who_offers_and_who_listens_and_why_not(app):
    rows = {row["key"]: row for row in app.simulate_get(SERVICES).json["rows"]}
    assert list(rows) == ["api", "db", "ssh", "web"]
    (offer,) = rows["api"]["offers"]
    assert (offer["agent"], offer["target"], offer["hop_count"], offer["problem"]) == (
        "hq",
        "localhost:3000",
        2,
        None,
    )
    (listener,) = rows["api"]["listeners"]
    assert (listener["problem"], listener["exit"], listener["hop_count"]) == (None, "hq", 2)
    assert listener["path"] == ["branch", "relay", "hq"]
    assert rows["web"]["listeners"][0]["exit"] is None
    assert rows["db"]["offers"][0]["problem"]
    assert rows["ssh"]["offers"][0]["problem"] == "refused"
    assert rows["web"]["listeners"][0]["problem"] == "port taken"


def test_routes_have_whole_ids(app):
    (route,) = app.simulate_get(ROUTES).json["rows"]
    assert route["path_ids"] == [each.agent_id.hex() for each in (BRANCH, RELAY, HQ)]
    assert (route["key"], route["hop_count"], route["exit"]) == ("api", 2, "hq")


def test_certificates_begin_with_the_own_one(app):
    rows = app.simulate_get(CERTIFICATES).json["rows"]
    assert [(row["name"], row["is_local"]) for row in rows] == [
        ("branch", True),
        ("hq", False),
        ("relay", False),
    ]
    assert (rows[0]["not_after"], rows[0]["may_register"]) == (2_000_000_000, ["*"])


def test_the_agents_own_services_have_their_origin_and_what_is_wrong(app, steered):
    answer = app.simulate_get(LISTENERS)
    assert answer.headers["etag"] == f'"{steered.layers.shown.revision}"'
    web, api = answer.json["rows"]
    assert (web["key"], web["origin"], web["state"], web["problem"]) == (
        "web",
        "file",
        "closed",
        "port taken",
    )
    assert (api["key"], api["origin"], api["state"], api["problem"]) == ("api", "saved", "open", None)
    assert (api["address"], api["opened_at"]) == ("127.0.0.1:0", "127.0.0.1:8001")
    assert [(each["agent"], each["hop_count"]) for each in api["exits"]] == [("hq", 2)]
    assert [(each["agent"], each["reason"]) for each in api["set_aside"]] == [("far", "refused")]
    (endpoint,) = app.simulate_get(ENDPOINTS).json["rows"]
    assert (endpoint["target"], endpoint["allow"], endpoint["problem"]) == ("localhost:22", ["hq"], "refused")
    assert (endpoint["state"], endpoint["listeners"]) == ("not offered yet", 0)
    peers = app.simulate_get(PEERS).json["rows"]
    assert [(row["name"], row["state"], row["id"] is None) for row in peers] == [
        ("relay", "connected", False),
        ("", "dialing", True),
    ]


def test_what_is_to_be_added_and_is_not_there_yet_says_so(app, steered):
    added = {"service": {"key": "new", "address": "127.0.0.1:9"}, "save": True}
    assert app.simulate_post(LISTENERS, json=added).status_code == 201
    row = app.simulate_get(LISTENERS).json["rows"][-1]
    assert (row["key"], row["state"], row["problem"]) == ("new", "closed", "not open yet")


def test_the_status_is_what_is_wrong_and_who_says_so(app):
    status = app.simulate_get(STATUS).json
    assert (status["ready"], status["draining"], status["age_s"]) == (False, False, 0.25)
    assert status["agent"]["id"] == BRANCH.agent_id.hex()
    assert status["agent"]["version"] == VERSION
    assert status["agent"]["build"] == software_build()
    assert [(each["severity"], each["remedy"]) for each in status["findings"]] == [
        ("problem", "free it"),
        ("warning", ""),
    ]
    assert status["findings"][0]["since"] == "2026-11-30T12:00:00Z"
    assert status["socks"] == [{"address": "127.0.0.1:1080", "problem": None}]


def test_of_two_operators_the_second_is_told_that_the_first_was_there(app, steered):
    known = app.simulate_get(LISTENERS).headers["etag"]
    one, other = ({"service": {"key": key, "address": ":1"}, "save": True} for key in ("a", "b"))
    assert app.simulate_post(LISTENERS, json=one, headers={"If-Match": known}).status_code == 201
    refused = app.simulate_post(LISTENERS, json=other, headers={"If-Match": known})
    assert refused.status_code == 412
    for answer in (
        app.simulate_delete(LISTENERS, params={"key": "a"}, headers={"If-Match": known}),
        app.simulate_delete(ENDPOINTS, params={"key": "a"}, headers={"If-Match": known}),
        app.simulate_post(RELOAD, headers={"If-Match": known}),
        app.simulate_post(PLANS, json={"forward": {}}, headers={"If-Match": known}),
    ):
        assert answer.status_code == 412
    assert len(steered.done) == 1
    known = app.simulate_get(ENDPOINTS).headers["etag"]
    assert app.simulate_post(LISTENERS, json=other, headers={"If-Match": known}).status_code == 201


def test_a_revision_stays_while_nothing_changes():
    layers = Layers(FILE, (SAVED,))
    first = layers.shown.revision
    layers.show()
    assert layers.shown.revision == first
    lease = layers.hold(SAVED, 1.0)
    layers.show()
    second = layers.shown.revision
    layers.renew(lease, 2.0)
    layers.show()
    assert first != layers.shown.revision == second
    assert Layers(FILE, (SAVED,)).shown.revision != first


def test_a_plan_is_of_all_saved_services(app, steered):
    wish = {"forward": {"listeners": [{"key": "api", "address": "127.0.0.1:0", "max_connections": 4}]}}
    assert app.simulate_post(f"{PLANS}?dry_run=true", json=wish).status_code == 200
    assert app.simulate_post(PLANS, json=wish).status_code == 200
    assert steered.done == [((SAVED,), True), ((SAVED,), False)]


@pytest.mark.parametrize(
    ("wish", "place"),
    [
        ({}, "body.forward"),
        ({"file": "/x"}, "body.file"),
        ({"file": "/x", "forward": {}}, "body.file"),
        ({"forward": {"listeners": [{"key": "a"}]}}, "body.forward"),
        ({"forward": {"listeners": [{"key": "a", "address": ":1"}] * 2}}, "body.forward"),
        ({"forward": {"peers": []}}, "body.forward"),
    ],
)
def test_a_plan_that_is_none_is_told(app, steered, wish, place):
    answer = app.simulate_post(PLANS, json=wish)
    assert (answer.status_code, answer.json["place"]) == (400, place)
    assert steered.done == []


def test_an_agent_that_does_not_answer_is_a_problem(steered):
    def silent():
        raise NoAnswer("no answer within 0.7 s")

    app = falcon.testing.TestClient(ControlApp(Behind(steered, silent, None), None))
    for path in (AGENTS, SERVICES, LINKS, ROUTES, CERTIFICATES, LISTENERS, ENDPOINTS, PEERS, STATUS):
        answer = app.simulate_get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("place", [STATUS, AGENTS, SERVICES, LINKS, ROUTES, CERTIFICATES, PEERS, LISTENERS])
def test_an_answer_is_good_until_the_actors_are_asked_anew_or_something_is_changed(steered, place):
    shown, at = snapshot(), 1.0
    behind = Behind(
        steered,
        lambda: Answer(shown, 0.0, 0.0),
        DocumentEncoder("1").pairings,
        asked=lambda: Stamp(at),
    )
    app = ControlApp(behind, None)

    def asked():
        environ = falcon.testing.create_environ(place)
        b"".join(app(environ, falcon.testing.StartResponseMock()))
        return environ[KEPT_WHILE]

    before = asked()
    assert before()
    steered.save(ListenerSection(key="new", address=TcpAddress("127.0.0.1", 9)))
    assert not before()
    after = asked()
    assert after()
    at = 2.0
    assert not after()


def test_who_asks_after_a_change_hears_of_it_also_if_it_fails(steered):
    shown, changes = snapshot(), []
    behind = Behind(steered, lambda: Answer(shown, 0.0, 0.0), None, changed=lambda: changes.append(1))
    app = falcon.testing.TestClient(ControlApp(behind, None))
    assert app.simulate_get(STATUS).status_code == 200
    assert app.simulate_get(AUDIT).status_code == 404  # not for all, and yet it changes nothing
    assert not changes
    assert app.simulate_post(REVOCATION_LISTS, json={"lists": []}).status_code == 503
    assert len(changes) == 1
