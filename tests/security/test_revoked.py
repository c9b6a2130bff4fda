"""Who was revoked, and whoever passes on lists that are old, forged, or too much: in the simulated world."""

import msgspec
import pytest

from actors.messages import route_table as route_messages
from actors.runtime.virtual.world import UNIX_START_S
from mesh.link import bodies
from mesh.link.frames import FrameType, link_frame
from mesh.routing.answers import ANSWER_BYTE_BURST, ANSWER_BYTE_RATE
from mesh.trust.identity import REVOCATIONS_CONTEXT, Identity
from mesh.trust.revocations import Revocation, sign_list
from scripts.simulation.conversation import Pace, Terms
from tests.security.simulated import SimulatedMember, say_lists
from tests.simulation.mesh_world import KEY, mesh_world, three_agents

STRANGER = Identity(b"an authority of another mesh".ljust(32))
DAY_MS = 86_400_000


@pytest.fixture
def mesh():
    with mesh_world(seed=11) as made:
        three_agents(made)
        yield made


def member(mesh, **granted):
    """One that has a link to the relay."""
    authority = mesh.identity("authority")
    SimulatedMember.start(mesh.world.dispatcher("mallory"), peer="relay", authority=authority, **granted)
    (made,) = mesh.actors_on("mallory", SimulatedMember)
    mesh.run_until(lambda: made.wire.is_up or made.is_over, 10.0)
    mesh.run(0.5)
    return made


def signed(mesh, number, *names, by=None):
    entries = [Revocation(mesh.id_of(name), int(UNIX_START_S), name=name) for name in names]
    return sign_list(by or mesh.identity("authority"), number, entries)


def counts(mesh, name="relay"):
    return mesh.ask(name, "route_table", route_messages.GetCounts())


def is_unharmed(mesh):
    """Whether nobody is revoked, and hq is used."""
    return (
        [counts(mesh, name).agents_revoked for name in mesh.plans] == [0, 0, 0]
        and KEY in mesh.snapshot("branch").candidates
        and mesh.peers("relay").keys() >= {"branch", "hq"}
    )


def now_ms(mesh):
    return int((UNIX_START_S + mesh.world.now()) * 1000)


def test_a_revoked_agent_comes_back_by_no_other_relay_and_with_no_other_certificate(mesh):
    mesh.plan("other", peers=["relay"])
    mesh.start("other")
    mesh.run(3.0)
    made = member(mesh, register=("*",), relay=True)
    entry = Revocation(made.credentials.id, int(UNIX_START_S), name="mallory")
    wire = sign_list(mesh.identity("authority"), now_ms(mesh), [entry])
    assert mesh.ask("branch", "route_table", route_messages.TakeRevocations((wire,))) == ("",)
    mesh.run(1.0)
    assert made.is_over
    talk = mesh.converse(Terms(1, 400_000, 400_000), Pace(byte_count=2000, pause_s=0.05))
    stolen = made.credentials.identity
    for number, peer in enumerate(("other", "relay", "hq")):
        again = mesh.world.dispatcher(f"again{number}")
        authority = mesh.identity("authority")
        SimulatedMember.start(again, peer=peer, authority=authority, name="somebody", identity=stolen)
        (came,) = mesh.actors_on(f"again{number}", SimulatedMember)
        refused = mesh.plans[peer].meters.links_refused
        mesh.run(3.0)
        assert came.is_over
        assert mesh.plans[peer].meters.links_refused == refused + 1
        assert len(mesh.log.of(peer, "not trusted: the agent 'somebody'")) == 1
    assert not talk.heard.is_over
    mesh.run_until_said(60.0)
    mesh.assert_all_complete()  # who goes on has noticed nothing
    assert all(stolen.id not in mesh.snapshot(name).records for name in mesh.plans)


def test_old_lists_change_nothing_and_cost_who_repeats_them_its_link(mesh):
    old = signed(mesh, now_ms(mesh), "hq")
    mesh.run(1.0)
    mesh.revoke(at="relay")  # nobody any more
    mesh.run(0.5)
    made = member(mesh)
    say_lists(mesh, made, old)
    assert is_unharmed(mesh)
    assert not made.is_over
    say_lists(mesh, made, *[old] * 200)
    assert is_unharmed(mesh)
    assert made.is_over
    assert "more revocation lists without news" in made.wire.reason
    assert counts(mesh).revocation_lists_known_total >= 100
    assert len(mesh.log.of("relay", "more revocation lists without news")) == 1
    assert counts(mesh, "branch").revocation_lists_known_total == 0  # they went no further


@pytest.mark.parametrize("forgery", ["signature", "signer", "number", "garbage", "another context"])
def test_forged_lists_cost_their_peer_its_link_and_go_no_further(mesh, forgery):
    wire = signed(mesh, now_ms(mesh), "hq")
    body, encode = wire[64:], msgspec.msgpack.encode
    forged = {
        "signature": bytes(64) + body,
        "signer": STRANGER.sign(REVOCATIONS_CONTEXT, body) + body,
        "number": wire[:64] + body.replace(encode(now_ms(mesh)), encode(now_ms(mesh) + 5)),
        "garbage": wire[:64] + b"\x93\xc4",
        "another context": mesh.identity("authority").sign(b"mesh record v1", body) + body,
    }[forgery]
    made = member(mesh)
    say_lists(mesh, made, forged)
    assert made.is_over
    assert is_unharmed(mesh)
    assert counts(mesh).revocation_lists_refused_total == 1
    assert mesh.log.of("relay", "mallory")


def test_a_list_of_a_stranger_is_ignored_and_told_once_by_name(mesh):
    made = member(mesh)
    lists = [signed(mesh, now_ms(mesh) + n, "hq", by=STRANGER) for n in range(20)]
    say_lists(mesh, made, *lists)
    assert not made.is_over
    assert is_unharmed(mesh)
    told = mesh.log.of("relay", "which this agent does not trust")
    assert len(told) == 1
    say_lists(mesh, made, *lists * 20)
    assert made.is_over


def test_a_list_of_a_megabyte_is_refused(mesh):
    with pytest.raises(Exception, match="does not fit into a frame"):
        bodies.encode_revocations((bytes(1_000_000),))
    made = member(mesh)
    say_lists(mesh, made, bytes(60_000))
    assert made.is_over
    assert is_unharmed(mesh)


def test_numbers_far_ahead_bury_nothing(mesh):
    made = member(mesh)
    say_lists(mesh, made, signed(mesh, now_ms(mesh) + 2 * DAY_MS, "hq"), signed(mesh, 10**14, "hq"))
    mesh.run(30.0)
    assert is_unharmed(mesh)
    assert counts(mesh).revocation_lists_ahead_total >= 2
    assert mesh.log.of("relay", "more than a day ahead of this agent's clock")
    mesh.revoke("branch", at="relay")
    mesh.run(1.0)
    assert counts(mesh, "hq").agents_revoked == 1


def test_nothing_is_kept_of_who_passed_on_what_is_of_a_time_to_come_and_left(mesh):
    """A stolen issuer has as many members as it likes, and lists that nobody has verified are long."""
    made = member(mesh)
    ahead = signed(mesh, now_ms(mesh) + 2 * DAY_MS, "hq")
    say_lists(mesh, made, bytes(64) + ahead[64:])
    mesh.run(30.0)
    assert counts(mesh).revocation_lists_ahead_total >= 3, "it is looked at again"
    made.over()
    mesh.run(20.0)
    looked_at = counts(mesh).revocation_lists_ahead_total
    shown(mesh, Identity(bytes([77]) * 32).id, ahead)
    mesh.run(60.0)
    assert counts(mesh).revocation_lists_ahead_total == looked_at + 1
    assert is_unharmed(mesh)


def test_who_asks_for_lists_without_end_is_given_so_many_bytes_and_what_is_new_in_the_end(mesh):
    authority = mesh.identity("authority")
    entries = [Revocation(number.to_bytes(16, "big"), int(UNIX_START_S)) for number in range(1_200)]
    wire = sign_list(authority, now_ms(mesh), entries)
    assert mesh.ask("relay", "route_table", route_messages.TakeRevocations((wire,))) == ("",)
    made = member(mesh)
    body = bodies.encode_want_revocations((bodies.WantedList(authority.public_key, 0),))
    question = link_frame(FrameType.WANT_REVOCATIONS, body)
    made.unsent += made.wire.seal(*[question] * 300)
    made.pump()
    mesh.run(0.2)
    given = made.wire.counts[FrameType.REVOCATIONS]
    assert ANSWER_BYTE_BURST * 0.9 < given * len(wire) < ANSWER_BYTE_BURST + ANSWER_BYTE_RATE
    mesh.revoke("hq", at="relay")
    mesh.run(1.0)
    assert made.wire.counts[FrameType.REVOCATIONS] > given
    assert not made.is_over
    assert counts(mesh, "branch").agents_revoked == 1


def test_a_member_that_is_no_issuer_revokes_nobody(mesh):
    made = member(mesh)
    issuerless = sign_list(made.credentials.identity, now_ms(mesh), [], issuer=made.credentials.certificate)
    say_lists(mesh, made, issuerless)
    assert made.is_over  # it is none
    assert is_unharmed(mesh)


def test_a_peer_that_has_a_newer_list_and_keeps_it_to_itself_is_seen(mesh):
    made = member(mesh)
    wanted = (bodies.WantedList(mesh.identity("authority").public_key, now_ms(mesh) + 5),)
    say_wanted = link_frame(FrameType.WANT_REVOCATIONS, bodies.encode_want_revocations(wanted))
    made.unsent += made.wire.seal(say_wanted)
    made.pump()
    mesh.run(1.0)
    assert counts(mesh).revocation_lists_missing == 1
    assert counts(mesh, "branch").revocation_lists_missing == 0
    mesh.revoke(at="relay")  # a later one
    mesh.run(1.0)
    assert counts(mesh).revocation_lists_missing == 0


def shown(mesh, peer_id, wire, times=1):
    """Lists that the relay is shown by somebody who does not let it in, and so has no link to it."""
    for _ in range(times):
        mesh.ask("relay", "route_table", route_messages.RevocationsArrived(peer_id, (wire,)))
    mesh.run(1.0)


def test_who_lets_nobody_in_makes_nobody_believe_to_be_revoked_without_proof(mesh):
    member_id, honest = Identity(bytes([77]) * 32).id, Identity(bytes([78]) * 32).id
    genuine = signed(mesh, now_ms(mesh), "relay")
    forged = bytes(64) + genuine[64:]
    shown(mesh, member_id, forged, times=1_000)
    shown(mesh, member_id, signed(mesh, now_ms(mesh), "relay", by=STRANGER))
    assert is_unharmed(mesh)
    assert counts(mesh).revocation_lists_refused_total < 150, "not all of it was looked at"
    shown(mesh, honest, genuine)
    assert mesh.log.of("relay", "this agent was revoked on")
    assert counts(mesh).agents_revoked == 1


def test_an_old_list_convinces_nobody_who_knows_a_later_one(mesh):
    old = signed(mesh, now_ms(mesh), "relay")
    mesh.run(1.0)
    mesh.revoke(at="branch")
    mesh.run(0.5)
    shown(mesh, Identity(bytes([77]) * 32).id, old, times=1_000)
    assert is_unharmed(mesh)
