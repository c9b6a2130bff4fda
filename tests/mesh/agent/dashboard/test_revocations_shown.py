"""Who was revoked, in the document and on the page."""

import re

import msgspec
from falcon import testing

from mesh.agent.dashboard.document import DocumentEncoder
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.trust.identity import AgentId, display_id
from mesh.trust.revocations import Revocation, Revocations, short_signer
from tests.mesh.agent.dashboard.conftest import NOON
from tests.mesh.trust.certificate_company import AGENT, AUTHORITY, FOREIGN_AUTHORITY
from tests.mesh.trust.test_revocations import a_list

OTHER = AgentId(b"\x07" * 16)


def shown(snapshot: DashboardSnapshot) -> dict[str, list[dict[str, object]]]:
    first = Revocation(AGENT.id, int(NOON), name="laptop", reason="was stolen")
    second = Revocation(OTHER, int(NOON) + 60)
    known = Revocations(
        [a_list(int(NOON) * 1000, first), a_list(1, second, by=FOREIGN_AUTHORITY)]  # of two authorities
    )
    encoded = DocumentEncoder("1").encode(msgspec.structs.replace(snapshot, revocations=known))
    names = ("revocations", "revocation_lists", "rows")
    return {name: msgspec.json.decode(encoded[name]) for name in names}


def test_the_document_says_who_by_whom_when_and_why_the_last_one_first(snapshot: DashboardSnapshot):
    document = shown(snapshot)
    assert document["revocations"][1] == {
        "agent": "laptop",
        "agent_id": display_id(AGENT.id),
        "since": "2026-11-30T12:00:00Z",
        "by": f"the authority {short_signer(AUTHORITY.public_key)}",
        "reason": "was stolen",
    }
    assert document["revocations"][0]["agent_id"] == display_id(OTHER)
    assert document["rows"]["totals"]["revocations"] == 2
    lists = {each["by"]: each for each in document["revocation_lists"]}
    newest = lists[f"the authority {short_signer(AUTHORITY.public_key)}"]
    assert (newest["signed"], newest["revoked"]) == ("2026-11-30T12:00:00Z", 1)


def test_the_page_shows_what_the_document_has(client: testing.TestClient, snapshot: DashboardSnapshot):
    script = client.simulate_get("/dashboard.js").text
    function = re.search(r"function showRevoked.*?\n}\n", script, re.DOTALL)
    assert function is not None
    document = shown(snapshot)
    for variable, fields in (
        ("one", document["revocations"][0]),
        ("list", document["revocation_lists"][0]),
    ):
        read = set(re.findall(rf"(?<![.\w]){variable}\.(\w+)", function[0]))
        assert read
        assert read <= set(fields)
    assert "status.stats.revocation_lists_missing" in function[0]
