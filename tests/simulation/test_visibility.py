"""``visibility: granted``: who may use an endpoint finds it, and nobody else holds anything that names it."""

import errno
from typing import Any

import msgspec
import pytest

from actors.messages.route_table import GetWarnings
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.routing.pairings import find_pairings
from scripts.simulation.conversation import Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world

OPEN_KEY = "status-page"
ENDPOINT = EndpointSection(key=KEY, target=TcpAddress("service", SERVICE_PORT), visibility="granted")
LISTENER = ListenerSection(key=KEY, address=TcpAddress("", LISTEN_PORT), visibility="granted")


@pytest.fixture
def mesh():
    with mesh_world(1) as mesh:
        yield mesh


def plan_company(mesh, *, endpoint=ENDPOINT, listener=LISTENER):
    """Branch may use what hq offers; the relay between them, and a member beside them, may not."""
    mesh.plan("relay", may_use=["other-*"])
    mesh.plan("branch", peers=["relay"], may_use=["my-*"], listener_sections=[listener])
    mesh.plan("member", peers=["relay"], may_use=["other-*"])
    mesh.plan(
        "hq",
        peers=["relay"],
        endpoint_sections=[endpoint],
        endpoints={OPEN_KEY: TcpAddress("service", SERVICE_PORT)},
    )
    mesh.serve("service")


def talk(mesh, number):
    conversation = mesh.converse(Terms(number, 100, 100))
    mesh.run_until(lambda: conversation.heard.is_over, 30.0)
    heard = conversation.heard
    return None if heard.is_complete else heard.error or heard.refused


def names(thing: Any, text: str) -> bool:
    """Whether ``text`` stands anywhere in what ``thing`` holds, objects of the runtime aside."""
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        match each:
            case str():
                if text in each:
                    return True
            case bytes() | bytearray():
                if text.encode() in each:
                    return True
            case list() | tuple() | set() | frozenset():
                waiting += each
            case _ if hasattr(each, "items"):
                waiting += [part for pair in each.items() for part in pair]
            case _:
                module = type(each).__module__
                if module.startswith(("mesh.", "actors.")) and not module.startswith("actors.runtime."):
                    fields = {*getattr(each, "__dict__", {}), *_slots(type(each))}
                    waiting += [getattr(each, field) for field in fields if hasattr(each, field)]
    return False


def _slots(kind: type) -> list[str]:
    found = []
    for each in kind.__mro__:
        slots = getattr(each, "__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return found


def knows(mesh, agent, text):
    """Whether an agent's actors, or the routes that it publishes, name ``text``."""
    return any(names(actor, text) for actor in mesh.actors_on(agent)) or names(mesh.snapshot(agent), text)


def test_an_agent_with_the_right_connects_and_others_hold_nothing_that_names_the_key(mesh):
    plan_company(mesh)
    mesh.start()
    mesh.converge()
    mesh.run(3.0)
    assert talk(mesh, 1) is None
    for agent in ("branch", "hq"):
        assert knows(mesh, agent, KEY)
        assert mesh.log.of(agent, KEY)
    for agent in ("relay", "member"):
        assert knows(mesh, agent, OPEN_KEY)
        assert not knows(mesh, agent, KEY)
        assert not mesh.log.of(agent, KEY)
        assert mesh.snapshot(agent).records[mesh.id_of("hq")].sealed  # that there is something is seen
    snapshot = mesh.snapshot("branch")
    found = find_pairings(snapshot.own_id, snapshot.records, snapshot.paths_from_each)
    assert [(each.key, each.ingress_name, each.exit_name, each.hop_count) for each in found.matched] == [
        (KEY, "branch", "hq", 2)
    ]
    listening = mesh.snapshot("hq").records[mesh.id_of("branch")].listeners
    assert [entry.key for entry in listening] == [KEY]


def test_an_agent_is_shown_what_it_is_granted_later_and_no_more_what_is_taken_from_it(mesh):
    plan_company(mesh)
    mesh.start()
    mesh.converge()
    mesh.run(3.0)
    hq = mesh.id_of("hq")
    mesh.certify("member", may_use=["my-api"])
    mesh.run(1.0)
    assert KEY in mesh.snapshot("member").records[hq].offered_keys
    mesh.certify("branch", may_use=["other-*"])
    mesh.run(1.0)
    assert KEY not in mesh.snapshot("branch").records[hq].offered_keys
    assert talk(mesh, 1) == errno.ECONNREFUSED
    mesh.revoke("member", at="relay")
    mesh.run(3.0)
    assert not mesh.snapshot("relay").records[hq].sealed


def test_agents_that_start_anew_are_shown_it_again(mesh):
    plan_company(mesh)
    mesh.start()
    mesh.converge()
    for number, agent in enumerate(("branch", "hq"), 1):
        mesh.restart(agent)
        mesh.run(5.0)
        assert talk(mesh, number) is None
    assert not knows(mesh, "relay", KEY)


def test_the_listener_falls_back_on_another_exit(mesh):
    plan_company(mesh)
    mesh.plan("other", peers=["relay"], endpoint_sections=[ENDPOINT])
    mesh.start()
    mesh.converge()
    mesh.run(3.0)
    assert len(mesh.snapshot("branch").candidates[KEY]) == 2
    mesh.crash("hq")
    assert talk(mesh, 1) is None
    assert not knows(mesh, "relay", KEY)


def test_so_it_is_with_blocks_so_large_that_they_are_pages(mesh, monkeypatch):
    monkeypatch.setattr("mesh.routing.service_layout.INLINE_SEALED_BYTES", 0)
    plan_company(mesh)
    mesh.start()
    mesh.converge()
    mesh.run(3.0)
    seen = mesh.snapshot("member").records[mesh.id_of("hq")]
    assert (seen.body.sealed, len(seen.body.pages), len(seen.sealed)) == ((), 1, 1)
    assert talk(mesh, 1) is None
    assert not knows(mesh, "member", KEY)
    mesh.certify("branch", may_use=["other-*"])
    mesh.run(3.0)
    assert not mesh.snapshot("branch").records[mesh.id_of("hq")].body.pages


def test_it_comes_and_goes_with_the_configuration(mesh):
    plan_company(mesh)
    mesh.start()
    mesh.converge()
    hq = mesh.id_of("hq")
    mesh.reconfigure("hq", endpoints=(msgspec.structs.replace(ENDPOINT, visibility="mesh"),))
    mesh.run(3.0)
    assert KEY in mesh.snapshot("member").records[hq].offered_keys
    mesh.reconfigure("hq", endpoints=(ENDPOINT,))
    mesh.reconfigure("branch", listeners=(msgspec.structs.replace(LISTENER, agents=("hq",)),))
    mesh.run(3.0)
    assert KEY not in mesh.snapshot("member").records[hq].offered_keys
    assert KEY in mesh.snapshot("branch").records[hq].offered_keys
    mesh.reconfigure("hq", endpoints=(msgspec.structs.replace(ENDPOINT, allow=("member",)),))
    mesh.run(3.0)
    assert KEY not in mesh.snapshot("branch").records[hq].offered_keys
    assert not mesh.snapshot("relay").records[hq].sealed  # nobody is allowed who may use it, too


def test_a_key_that_certificates_spell_is_warned_of(mesh):
    plan_company(mesh)
    mesh.start()
    mesh.converge()
    assert mesh.ask("hq", "route_table", GetWarnings()) == ()
    mesh.certify("branch", may_use=[KEY])
    mesh.run(3.0)
    (warning,) = mesh.ask("hq", "route_table", GetWarnings())
    assert warning == (
        "'my-api' has visibility: granted, and the whole mesh reads it in the certificate of branch: "
        "sign it for a pattern that does not spell the key"
    )


def test_a_listener_that_tells_all_of_a_key_that_is_not_for_all_is_warned_of(mesh):
    plan_company(mesh, listener=msgspec.structs.replace(LISTENER, visibility="mesh"))
    mesh.start()
    mesh.converge()
    mesh.run(3.0)
    assert knows(mesh, "member", KEY)
    (warning,) = mesh.ask("branch", "route_table", GetWarnings())
    assert warning == (
        "the whole mesh is told of the listener of 'my-api', which hq shows to those only that may use it: "
        "give it visibility: granted"
    )
