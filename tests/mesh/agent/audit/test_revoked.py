"""Who is revoked is written down once, when the agent comes to know."""

from mesh.agent.audit import revoked
from mesh.agent.audit.entries import encoded, entry_of
from mesh.agent.audit.revoked import RevokedNotes
from mesh.agent.live_revocations import LiveRevocations
from mesh.trust.identity import AgentId, display_id, verify_signature
from mesh.trust.revocations import NOBODY_REVOKED, Revocation, Revocations, sign_list, verified_list
from tests.mesh.agent.audit.test_who import Noted
from tests.mesh.trust.certificate_company import AUTHORITY
from tests.mesh.trust.test_revocations import AGENT, ENTRY, a_list


def test_each_is_written_down_once(tmp_path):
    noted, told = Noted(), []
    live = LiveRevocations(tmp_path, None, told.append, known=NOBODY_REVOKED, stamp=(), audit=noted)
    live.keep(Revocations([a_list(1, ENTRY)]))
    live.keep(Revocations([a_list(2, ENTRY)]))
    ((kind, facts),) = noted.entries
    assert kind.value == "revoked"
    assert (facts["agent"], facts["id"], facts["reason"]) == (
        "branch",
        display_id(AGENT.id),
        "the laptop was stolen",
    )
    assert "authority" in facts["by"]
    assert len(told) == 2


def test_one_that_was_known_at_the_start_is_none(tmp_path):
    noted, known = Noted(), Revocations([a_list(1, ENTRY)])
    LiveRevocations(tmp_path, None, lambda _: None, known=known, stamp=(), audit=noted).keep(known)
    assert noted.entries == []


def of(signer, number, *ids, issuer=b"the certificate of an issuer"):
    entries = [Revocation(AgentId(bytes([each]) * 16), 1) for each in ids]
    wire = sign_list(signer, number, entries, issuer=issuer)
    return Revocations([verified_list(wire, signer.public_key, verify_signature)])


def test_a_revocation_that_is_lifted_is_written_down_with_who_has_lifted_it(tmp_path):
    noted, known = Noted(), Revocations([a_list(1, ENTRY)])
    live = LiveRevocations(tmp_path, None, lambda _: None, known=known, stamp=(), audit=noted)
    live.keep(Revocations([a_list(2)]))
    ((kind, facts),) = noted.entries
    assert kind.value == "lifted"
    assert (facts["agent"], facts["id"]) == ("branch", display_id(AGENT.id))
    line = encoded(kind, 0.0, {"number": 1, **facts})
    assert "is revoked no more by the authority" in entry_of(line).text()


def test_an_issuer_that_revokes_without_pause_does_not_fill_the_files(monkeypatch):
    monkeypatch.setattr(revoked, "ISSUERS_BURST", 2)
    noted, known = Noted(), NOBODY_REVOKED
    notes = RevokedNotes(noted)
    for number in range(1, 6):
        heard = of(AGENT, number, 10 * number, 10 * number + 1)
        notes.note(known, heard, 100.0)
        known = heard
    assert [facts["id"][:2] for _, facts in noted.entries] == ["0a", "0b"]
    notes.note(known, of(AUTHORITY, 1, 1, 2, 3, issuer=b""), 100.0)
    assert len(noted.entries) == 5, "an authority is always written down"
    notes.note(known, of(AGENT, 6, 60), 100.0 + 1 / revoked.ISSUERS_RATE)
    assert noted.entries[-1][1]["left_out"] == 18, "10 revocations and 10 that were lifted, but for two"
