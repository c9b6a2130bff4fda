"""Who is revoked is written down once, when the agent comes to know."""

from mesh.agent.live_revocations import LiveRevocations
from mesh.trust.identity import display_id
from mesh.trust.revocations import NOBODY_REVOKED, Revocations
from tests.mesh.agent.audit.test_who import Noted
from tests.mesh.trust.test_revocations import AGENT, ENTRY, a_list


def test_each_is_written_down_once(tmp_path):
    noted, told = Noted(), []
    live = LiveRevocations(tmp_path, None, told.append, known=NOBODY_REVOKED, audit=noted)
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
    LiveRevocations(tmp_path, None, lambda _: None, known=known, audit=noted).keep(known)
    assert noted.entries == []
