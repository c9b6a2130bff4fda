"""Who has a copy of an agent's identity key and certificate."""

import contextlib
import time

import pytest
from msgspec.structs import replace

from mesh.errors import MeshError
from mesh.routing.records import EndpointEntry
from mesh.trust.identity import Instance
from scripts.lab.meshes import Mesh
from scripts.lab.waiting import wait_until
from tests.security.chains import KEY, Chain, Held
from tests.security.hostile import Credentials, Member, Repeating, records_frame, signed

ALARM = ("another running agent", "duplicate identity", "two running agents", "another agent has its")
YEAR_MS = 365 * 86_400_000
PATIENCE_S = 6.0


@pytest.fixture(scope="module")
def thieves(tmp_path_factory):
    """Branch - relay - hq, which has been told that somebody has its key."""
    chain = Chain(Mesh(tmp_path_factory.mktemp("thieves")))
    try:
        yield chain.start()
    finally:
        chain.close()


def thief_of(agent, **named):
    """Somebody with the key of an agent."""
    granted = {"register": ("*",), "use": ("*",), "relay": True}
    return Credentials(agent.authority, agent.name, identity=agent.identity, **granted, **named)


def spy(chain):
    """A member that has no right at all: it sees all records and tells others."""
    return Member(chain.relay, Credentials(chain.authority, "spy"))


def alarms(agent, name):
    """Lines of its log that say that somebody has the key of an agent."""
    return [line for line in agent.lines_with(name) if any(text in line for text in ALARM)]


def own_alarms(agent):
    return [line for line in agent.process.output.splitlines() if any(text in line for text in ALARM)]


def ready(agent):
    status, body = agent.get("/ready")
    return status, body.decode()


def test_a_thief_with_the_victims_own_instance_does_not_take_its_link(fresh_chain):
    """The instance is in every record."""
    chain = fresh_chain.start()
    with spy(chain) as seen:
        instance = seen.know(chain.branch).instance
    chain.relay.wait_for_peers(chain.branch, chain.hq)
    lost = chain.branch.stats()["links_lost_total"]
    with Held(chain.port) as held:
        for _ in range(3):
            with contextlib.suppress(OSError, EOFError, MeshError):
                thief = Member(chain.relay, thief_of(chain.branch, instance=instance))
                try:
                    thief.ends(0.5)
                    assert not thief.frames
                finally:
                    thief.close()
            assert held.soonest_answer() < 1.0
        assert chain.branch.stats()["links_lost_total"] == lost
    wait_until(lambda: alarms(chain.relay, "branch"), "the relay tells of it", PATIENCE_S)
    wait_until(lambda: own_alarms(chain.branch), "the genuine one tells of it", PATIENCE_S)


def test_a_thief_with_an_instance_of_its_own_is_refused_and_told(fresh_chain):
    chain = fresh_chain.start()
    with Held(chain.port) as held:
        with contextlib.suppress(OSError, EOFError, MeshError):
            thief = Member(chain.relay, thief_of(chain.branch))
            try:
                assert thief.ends(PATIENCE_S)
                assert not thief.frames
            finally:
                thief.close()
        assert held.soonest_answer() < 1.0
    wait_until(lambda: alarms(chain.relay, "branch"), "the relay tells of it", PATIENCE_S)
    wait_until(lambda: own_alarms(chain.branch), "the genuine one tells of it", PATIENCE_S)


def test_one_identity_at_two_relays_is_told_by_all_who_see_it_and_takes_no_traffic(mesh):
    """The thief links elsewhere, where nobody knows the genuine one as a peer."""
    chain = Chain(mesh)
    other = mesh.agent("other").dial(chain.relay).accept()
    chain.start()
    credentials = thief_of(chain.hq)
    with Member(other, credentials) as thief:
        genuine = thief.know(chain.hq)

        def speak(number):
            credentials.epoch = genuine.epoch + 1000 * number
            thief.advertise(endpoints=(EndpointEntry(KEY, None),))

        with Repeating(0.5, speak):
            # Until the genuine one has spoken again, that looks like a restart, which ends connections.
            wait_until(lambda: alarms(chain.branch, "hq"), "branch tells of it", PATIENCE_S)
            with Held(chain.port) as held:
                end = time.monotonic() + 2
                while time.monotonic() < end:
                    assert held.soonest_answer(2.0) < 2.0
                    time.sleep(0.1)
                took = chain.newcomers(5)
            assert None not in took
            assert max(took) < 2.0, took
            assert not thief.frames
        for agent in (chain.branch, chain.relay, other):
            wait_until(lambda agent=agent: alarms(agent, "hq"), f"{agent.name} tells of it", PATIENCE_S)
        wait_until(lambda: own_alarms(chain.hq), "the genuine one tells of it", PATIENCE_S)
        wait_until(lambda: "identity" in ready(chain.hq)[1], "/ready of the genuine one says so", PATIENCE_S)
    chain.service.stop_listening()


def poison(agent, genuine, **changes):
    """A record with a stolen signature, which an honest agent's code would not make."""
    body = replace(genuine, instance=Instance(b"\xff" * 16), endpoints=(), neighbours=(), **changes)
    return signed(agent.identity, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 2**62, "sequence": 2**62},
        {"epoch": 2**40, "sequence": 2**62},
        {"sequence": 2**62},
        {"sequence": 2**32 - 1},
    ],
    ids=["epoch and sequence", "an epoch of the far future", "sequence", "the largest sequence there is"],
)
@pytest.mark.parametrize("withdrawn", [True, False], ids=["withdrawn", "empty"])
def test_one_stolen_signature_buries_nobody(thieves, changes, withdrawn):
    """Not for longer than the genuine one takes to speak up; nor when it is told again later."""
    chain = thieves
    with spy(chain) as teller:
        genuine = teller.know(chain.hq)
        if changes.get("epoch") == 2**40:
            changes = {**changes, "epoch": genuine.epoch + 2 * YEAR_MS}
        poisoned = poison(chain.hq, genuine, withdrawn=withdrawn, **changes)
        with contextlib.suppress(OSError):
            teller.tell(poisoned)
        time.sleep(0.3)
    wait_until(lambda: chain.branch.routes(KEY), "hq is there again", PATIENCE_S)
    with spy(chain) as again:
        with contextlib.suppress(OSError):
            again.tell(replace(poisoned, age_ms=0))
        time.sleep(0.3)
    wait_until(lambda: chain.branch.routes(KEY), "hq is there again", PATIENCE_S)
    assert chain.answers(2.0) is not None


def test_noise_of_one_member_does_not_drown_the_alarm_about_another(fresh_chain):
    """Keys that one may not register are told; so many of them that no log has room."""
    chain = fresh_chain.start()
    noise = Member(chain.relay, Credentials(chain.authority, "noise"))
    thief = spy(chain)
    try:
        genuine = thief.know(chain.hq)

        def churn(number):
            noise.advertise(endpoints=tuple(EndpointEntry(f"{number}-{n}", None) for n in range(512)))

        with contextlib.suppress(OSError), Repeating(0.5, churn):
            time.sleep(1.0)
            for step in range(1, 4):
                body = replace(genuine, sequence=genuine.sequence + 3 * step, instance=Instance(b"\x01" * 16))
                thief.tell(signed(chain.hq.identity, body))
                time.sleep(0.4)
        wait_until(lambda: own_alarms(chain.hq), "hq tells that somebody has its key", PATIENCE_S)
        log = chain.hq.process.output
        assert len(log.splitlines()) < 1000
        chain.hq.wait_for_lines_with("noise")  # it is told by name, too
    finally:
        noise.close()
        thief.close()


def test_what_is_said_for_a_stolen_record_of_old_does_not_make_it_younger(fresh_chain):
    """A record of an agent that has gone: whoever holds it cannot keep its routes alive for ever."""
    chain = fresh_chain
    for agent in chain.agents:
        agent.config["routing"] = {"route_ttl": "2s", "advertise_interval": "500ms"}
    chain.start()
    with spy(chain) as teller:
        teller.know(chain.hq)
        known = chain.branch.stats()["agents"]
        chain.hq.kill()
        _, wire = teller.records[chain.hq.identity.id]
        with Repeating(0.25, lambda _: teller.try_to_send(records_frame(replace(wire, age_ms=0)))):
            wait_until(lambda: chain.branch.stats()["agents"] < known, "branch has forgotten hq", 8)
