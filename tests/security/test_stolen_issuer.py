"""Whoever has stolen an issuer's key, or changes or borrows an invitation: in the simulated world."""

import pytest

from actors.messages import route_table as route_messages
from actors.runtime.virtual.world import UNIX_START_S
from mesh.link.frames import FrameType
from mesh.routing.records import EndpointEntry
from mesh.routing.revocation_intake import LIST_BURST, LIST_BYTES, LIST_RATE
from mesh.sampling import MARK
from mesh.trust.identity import Identity
from mesh.trust.issuing import IssuingLimits
from mesh.trust.revocations import MAX_LIST_BYTES, Revocation, sign_list
from scripts.simulation.conversation import Pace, Terms
from tests.security.hostile import Credentials, digest_frame, records_frame
from tests.security.issued import DAY_S, changed, issued, issuers
from tests.security.simulated import SimulatedMember, say_lists
from tests.simulation.mesh_world import KEY, mesh_world, three_agents

NOW = int(UNIX_START_S)
ISSUER = Identity(b"an issuer whose key was stolen".ljust(32))
OTHER_ISSUER = Identity(b"an issuer that is honest".ljust(32))
MALLORY = Identity(b"mallory".ljust(32))
LIMITS = IssuingLimits(DAY_S, ("db-*",), ("web-*",), groups=("guests",))
SLOWLY = Pace(byte_count=2000, pause_s=0.05)


@pytest.fixture
def mesh():
    """Branch - relay - hq, and a client of hq's service that is served all the while."""
    with mesh_world(seed=12) as made:
        three_agents(made)
        made.talk = made.converse(Terms(1, 400_000, 400_000), SLOWLY)
        made.run(1.0)
        made.own = issuers(made.identity("authority"), ISSUER, LIMITS, now=NOW)
        made.issued = issued(ISSUER, made.own, MALLORY, now=NOW)
        yield made


def member(mesh, certificate, identity=MALLORY, peer="relay"):
    host = f"mallory{len(mesh.world.network._hosts)}"
    dispatcher = mesh.world.dispatcher(host)
    authority = mesh.identity("authority")
    SimulatedMember.start(
        dispatcher, peer=peer, authority=authority, identity=identity, certificate=certificate
    )
    (made,) = mesh.actors_on(host, SimulatedMember)
    mesh.run_until(lambda: made.wire.is_up or made.is_over, 10.0)
    mesh.run(1.0)
    return made


def disturbs_nobody(mesh):
    """Whether the client goes on, and another is served."""
    mesh.converse(Terms(2, 1_000, 1_000))
    mesh.run_until_said(300.0)
    mesh.assert_all_complete()
    return KEY in mesh.snapshot("branch").candidates and mesh.peers("relay").keys() == {"branch", "hq"}


def counts(mesh, name="relay"):
    return mesh.ask(name, "route_table", route_messages.GetCounts())


BEYOND = {
    "relay": ({"may_relay": True}, "to relay"),
    "manage": ({"may_manage": True}, "to manage others"),
    "register": ({"may_register": ("*",)}, "to register '*'"),
    "use": ({"may_use": ("svc",)}, "to use 'svc'"),
    "group": ({"groups": ("dba",)}, "the group 'dba'"),
    "time": ({"not_after": NOW + 2 * DAY_S}, "may grant 86,400 s"),
}


@pytest.mark.parametrize("beyond", BEYOND)
def test_what_a_stolen_issuer_signs_beyond_its_limits_lets_nobody_in(mesh, beyond):
    says, told = BEYOND[beyond]
    refused = mesh.plans["relay"].meters.links_refused
    made = member(mesh, changed(mesh.issued, ISSUER, **says))
    assert made.is_over
    assert mesh.plans["relay"].meters.links_refused == refused + 1
    assert len(mesh.log.of("relay", told)) == 1
    assert disturbs_nobody(mesh)


def test_nor_does_it_as_the_record_of_somebody_else(mesh):
    authority = mesh.identity("authority")
    made = member(mesh, b"", Identity(b"m".ljust(32)))
    beyond = changed(mesh.issued, ISSUER, may_register=("*",))
    ghost = Credentials(authority, identity=MALLORY, now=NOW, certificate=beyond)
    made.unsent += made.wire.seal(records_frame(ghost.record()))
    made.pump()
    mesh.run(1.0)
    assert ghost.id not in mesh.snapshot("relay").records
    assert counts(mesh).records_refused_certificate_total + counts(mesh).records_refused_offence_total == 1
    assert mesh.log.of("relay", "may not: to register '*'")
    made.over()
    mesh.run(1.0)
    assert disturbs_nobody(mesh)


def test_once_it_is_revoked_whom_it_has_let_in_is_out_and_others_stay(mesh):
    made = member(mesh, mesh.issued)
    assert not made.is_over
    assert mesh.peers("relay").keys() == {"branch", "hq", "mallory"}
    entry = Revocation(ISSUER.id, NOW, name="issuer", reason="was stolen")
    wire = sign_list(mesh.identity("authority"), (NOW + 100) * 1000, [entry])
    assert mesh.ask("branch", "route_table", route_messages.TakeRevocations((wire,))) == ("",)
    mesh.run(1.0)
    assert made.is_over
    refused = mesh.plans["hq"].meters.links_refused
    again = member(mesh, issued(ISSUER, mesh.own, MALLORY, now=NOW, name="somebody"), peer="hq")
    assert again.is_over
    assert mesh.plans["hq"].meters.links_refused == refused + 1
    assert mesh.log.of("hq", "the issuer of the agent 'somebody'")
    assert disturbs_nobody(mesh)


def test_it_revokes_nobody_whom_others_have_let_in(mesh):
    made = member(mesh, mesh.issued)
    entries = [Revocation(mesh.id_of(name), NOW, name=name) for name in ("hq", "branch", "relay")]
    wire = sign_list(ISSUER, (NOW + 1) * 1000, entries, issuer=mesh.own)
    say_lists(mesh, made, wire)
    mesh.run(1.0)
    assert all(mesh.snapshot(name).records.keys() >= {mesh.id_of("hq")} for name in mesh.plans)
    made.over()
    mesh.run(1.0)
    assert disturbs_nobody(mesh)


WIDENED = {
    "no invitation": {"is_invitation": False},
    "rights": {"is_invitation": False, "may_use": ("web-*",)},
    "name": {"name": "hq"},
    "longer": {"not_after": NOW + DAY_S},
    "another key": {"subject": MALLORY.public_key},
}
GUEST = Identity(b"the key of an invitation".ljust(32))


@pytest.mark.parametrize("how", WIDENED)
def test_an_invitation_that_was_widened_is_no_invitation(mesh, how):
    """Without the issuer's key its signature is that of what it was."""
    invitation = issued(ISSUER, mesh.own, GUEST, now=NOW, is_invitation=True, not_after=NOW + 3600)
    refused = mesh.plans["relay"].meters.links_refused
    identity = MALLORY if how == "another key" else GUEST
    made = member(mesh, changed(invitation, **WIDENED[how]), identity)
    assert made.is_over
    assert mesh.plans["relay"].meters.links_refused == refused + 1
    assert len(mesh.log.of("relay", "refused")) == 1
    assert disturbs_nobody(mesh)


def test_an_invitation_that_was_borrowed_is_of_no_use_without_its_key(mesh):
    """Every peer of a guest sees its certificate."""
    invitation = issued(ISSUER, mesh.own, GUEST, now=NOW, is_invitation=True, not_after=NOW + 3600)
    refused = mesh.plans["relay"].meters.links_refused
    made = member(mesh, invitation, MALLORY)
    assert made.is_over
    assert mesh.plans["relay"].meters.links_refused == refused + 1
    assert disturbs_nobody(mesh)


def test_a_guest_offers_nothing_carries_nothing_and_is_served_nothing(mesh):
    invitation = issued(ISSUER, mesh.own, GUEST, now=NOW, is_invitation=True, not_after=NOW + 3600)
    made = member(mesh, invitation, GUEST)
    assert not made.is_over
    made.tell(endpoints=(EndpointEntry(KEY, None),))
    made.unsent += made.wire.seal(digest_frame())
    made.pump()
    mesh.run(2.0)
    assert [each.agent_id for each in mesh.snapshot("branch").candidates[KEY]] == [mesh.id_of("hq")]
    assert made.credentials.id not in mesh.snapshot("branch").graph.transits
    assert len(mesh.log.of("branch", "does not permit it to register 'my-api'")) == 1
    body, _ = made.wire.records[mesh.id_of("hq")]
    before = mesh.plans["hq"].meters.opens_rejected
    _, opening = made.credentials.opening(body, 1, KEY)
    made.unsent += made.wire.seal(opening)
    made.pump()
    mesh.run(1.0)
    assert mesh.plans["hq"].meters.opens_rejected == before + 1
    assert len(mesh.log.of("hq", "from mallory 5dba9e37 to nowhere yet: refused: not-permitted")) == 1
    assert [frame.type for frame in made.wire.frames] == [FrameType.REJECT]
    made.over()
    mesh.run(1.0)
    assert disturbs_nobody(mesh)


def test_nor_does_it_fill_the_log_by_whom_it_revokes_and_takes_back(mesh, caplog):
    """Such lines are written a few times a minute; those about an authority's lists always are."""
    made = member(mesh, mesh.issued)
    for number in range(10):
        entries = [Revocation(bytes([count]) * 16, NOW) for count in range(250 * (number % 2 == 0))]
        say_lists(mesh, made, sign_list(ISSUER, (NOW + number) * 1000, entries, issuer=mesh.own))
    by_issuer = [each for each in caplog.records if "revoked" in each.getMessage()]
    assert len(by_issuer) > 100
    assert len({getattr(each, MARK) for each in by_issuer}) == 1
    mesh.revoke("hq", at="relay")
    mesh.run(1.0)
    told = [
        each for each in caplog.records if "hq" in each.getMessage() and "revoked on" in each.getMessage()
    ]
    assert any(not hasattr(each, MARK) for each in told)


def test_nor_does_it_fill_links_with_lists_as_long_as_any_and_the_last_counts(mesh):
    made = member(mesh, mesh.issued)
    before = counts(mesh, "hq").revocation_lists_taken_total
    entries = [Revocation(count.to_bytes(16, "big"), NOW) for count in range(1_200)]
    for number in range(40):
        wire = sign_list(ISSUER, (NOW + number) * 1000, entries[: 1_200 - number], issuer=mesh.own)
        say_lists(mesh, made, wire)
    taken = counts(mesh, "hq").revocation_lists_taken_total - before
    assert 40_000 < len(wire) < MAX_LIST_BYTES
    assert taken * len(wire) < (LIST_BURST + 45 * LIST_RATE) * LIST_BYTES, "for 40 s"
    assert not made.is_over, "it has said nothing that was not news"
    mesh.run(5.0)
    assert counts(mesh, "hq").agents_revoked == 1_161
    made.over()
    mesh.run(1.0)
    assert disturbs_nobody(mesh)
