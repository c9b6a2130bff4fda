"""Whoever has the agent change something is written down, whatever door they come by."""

import contextlib
import os
import threading

import falcon.testing
import pytest

from mesh.agent.audit.behalf import Behalf, acting_for, behalf
from mesh.agent.audit.configured import NAMED, note_outcome
from mesh.agent.control.admission import ByHttpAddress
from mesh.agent.control.api import ApiApp, ControlApp
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.behind import Behind
from mesh.agent.control.client import AgentClient
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.control.jobs import MainThread
from mesh.agent.control.mesh_door import MeshDoor
from mesh.agent.control.requests import LEASES, RELOAD
from mesh.agent.control.socket_file import NAME
from mesh.agent.control.tokens import FAILURES_BURST, Tokens, new_token, token_hash
from mesh.agent.events import Events
from mesh.agent.outcome import Outcome, Verdict
from mesh.auditing import AuditKind
from mesh.config.schema import TokenSection
from mesh.connection.reserved import Caller
from mesh.remote.wire import Asked, write_asked
from mesh.trust.certificates import read_certificate
from mesh.trust.identity import display_id
from tests.mesh.trust.certificate_company import AGENT, issue


class Noted:
    def __init__(self):
        self.entries = []

    def note(self, kind, facts):
        self.entries.append((kind, facts))


class Steered:
    """Says for whom it reloads."""

    def expecting(self, revision):
        return self

    def reload(self):
        return Outcome(Verdict.DONE, added=behalf())

    def renew(self, lease, hold_s):
        return True


@pytest.fixture
def noted():
    return Noted()


@pytest.fixture
def behind(noted):
    return Behind(Steered(), None, None, audit=noted)


def request(way, who, what, code, **more):
    return AuditKind.REQUEST, {"way": way, "who": who, "what": what, "code": code, **more}


def test_at_the_control_socket_it_is_the_user_by_the_kernels_word(noted, behind, tmp_path):
    user = f"uid {os.geteuid()}"
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(behind, None))
        done = AgentClient(tmp_path / NAME).post(RELOAD, Outcome)
    assert done.added == ("control socket", user)
    assert noted.entries == [request("control socket", user, f"POST {RELOAD}", 200)]


def test_at_the_http_address_it_is_the_tokens_name_and_guesses_are_few(noted, behind):
    token = new_token()
    tokens = Tokens((TokenSection(name="deploy", hash=token_hash(token)),), lambda: 0.0)
    routes = ControlApp(behind, None).routes
    app = falcon.testing.TestClient(ApiApp(routes, (ByHttpAddress(Bearers(tokens, noted), noted),)))
    app.simulate_post(RELOAD, headers={"Authorization": f"Bearer {token}"})
    assert noted.entries == [request("http.address", "the token of deploy", f"POST {RELOAD}", 200)]
    for _ in range(50):
        app.simulate_post(RELOAD, headers={"Authorization": "Bearer mesh_guess"})
    assert len(noted.entries) == 1 + FAILURES_BURST
    kind, guess = noted.entries[-1]
    assert (kind, guess["code"]) == (AuditKind.GUESS, 401)
    assert token not in str(noted.entries)


def test_through_the_mesh_it_is_the_agents_name_and_whole_id(noted, behind):
    came = threading.Event()

    class Reply:
        def is_alive(self):
            return True

        def tell(self, message):
            came.set()

    door = MeshDoor(noted)
    door.serve(lambda environ, start: start("200 OK", []) and [b"{}"])
    try:
        question = write_asked(Asked("POST", RELOAD, asker="uid 0 of another machine"))
        door(Caller(AGENT.id, read_certificate(issue(name="branch"))), question, Reply())
        assert came.wait(10.0)
    finally:
        door.close()
    who = f"branch {display_id(AGENT.id)}"
    asker = {"caller": "uid 0 of another machine"}
    assert noted.entries == [request("mesh:control", who, f"POST {RELOAD}", 200, **asker)]


def test_what_changes_nothing_and_what_goes_on_with_what_was_told_is_none(noted, behind):
    app = falcon.testing.TestClient(ControlApp(behind, None))
    app.simulate_get("/api/v1/openapi.json")
    app.simulate_put(f"{LEASES}/1f", json={"hold_s": 15.0})
    assert noted.entries == []


def test_the_main_thread_works_in_the_name_of_whoever_asked():
    events, done, before = Events(), [], behalf()

    def ask():
        with acting_for(Behalf("test", "ann")):
            done.append(MainThread(events, Steered()).reload())

    asker = threading.Thread(target=ask)
    asker.start()
    events.get(10.0).run()
    asker.join(10.0)
    assert done[0].added == ("test", "ann")
    assert behalf() == before


def test_what_has_become_of_a_configuration_names_whose_it_was_and_is_bounded(noted):
    many = tuple(f"endpoint {number}" for number in range(NAMED + 5))
    with acting_for(Behalf("signal", "SIGHUP")):
        note_outcome(noted, Outcome(Verdict.DONE, added=many, at_start=("agent.data_dir",)))
        note_outcome(noted, Outcome(Verdict.DONE))
        note_outcome(noted, Outcome.refused(("config.yaml:1: x",)))
    (_, done), (_, refused) = noted.entries
    assert (done["way"], done["who"], done["verdict"]) == ("signal", "SIGHUP", "done")
    assert (len(done["added"]), done["added"][-1]) == (NAMED + 1, "and 5 more")
    assert refused["problems"] == ("config.yaml:1: x",)
