"""What an agent says of itself: ready or not, what is wrong, since when, what to do."""

import msgspec
import pytest

from actors.messages.agent import AgentState, PartState
from actors.root.phases import Phase
from mesh.addresses import TcpAddress
from mesh.agent.descriptor_watch import DescriptorUse
from mesh.agent.draining import DRAINING
from mesh.agent.findings import MAX_ALIKE, Finding, FindingKind, some_alike
from mesh.agent.link_problems import NO_LINK
from mesh.agent.outcome import Outcome, Verdict
from mesh.agent.own_services import OwnServices
from mesh.agent.reload_log import refusal_of
from mesh.agent.verdict import Seen, problems, warnings
from mesh.agent.web_certificate import REMEDY, WebCertificate
from mesh.config.loading import NOTHING_WRITTEN
from mesh.config.schema import (
    AcceptSection,
    Config,
    EndpointSection,
    ForwardSection,
    ListenerSection,
    PeerSection,
)
from mesh.trust.identity import AgentId
from mesh.trust.revocations import Revocation, Revoked
from tests.actors.company import IDENTITIES, record_of, routes_of
from tests.mesh.agent.test_grants import certificate

OWN = IDENTITIES[0]
NOW, BOOT = 1_796_040_000.0, 1_796_000_000.0

CONFIG = Config(
    accept=(AcceptSection(address=TcpAddress("127.0.0.1", 4433)),),
    peers=(PeerSection(address=TcpAddress("127.0.0.1", 4434)),),
    forward=ForwardSection(
        endpoints=(EndpointSection(key="db", target=TcpAddress("127.0.0.1", 5432)),),
        listeners=(ListenerSection(key="api", address=TcpAddress("127.0.0.1", 6000)),),
    ),
)
ALONE = Config()
ROUTES = routes_of(OWN, record_of(OWN))


def state_of(phase=Phase.RUNNING, *, parts=()):
    return AgentState(
        now_s=50.0,
        started_s=1.0,
        phase=phase.value,
        phase_since_s=40.0,
        draining_since_s=45.0,
        parts=tuple(parts),
    )


def seen(config=ALONE, *, phase=Phase.RUNNING, parts=(), granted=("*",), **others):
    lasting = msgspec.structs.replace(
        certificate(may_use=granted, may_register=granted), not_before=0, not_after=int(NOW) + 10**8
    )
    defaults = {
        "config": config,
        "written": NOTHING_WRITTEN,
        "configured_unix_s": BOOT + 2.0,
        "revoked": None,
        "complaint": "",
        "refused_reload": None,
        "certificate": lasting,
        "state": state_of(phase, parts=parts),
        "services": OwnServices(
            config=config,
            certificate=lasting,
            parts={part.name: part for part in parts},
            meters={},
            routes=ROUTES,
            unix_s_of=at,
        ),
        "peers": (),
        "routes": ROUTES,
        "descriptors": DescriptorUse(10, 1024, 11),
        "route_problems": (),
        "route_warnings": (),
        "link_warnings": (),
        "web_certificate": None,
        "now_unix_s": NOW,
    }
    return Seen(**{**defaults, **others})


def at(monotonic_s):
    return BOOT + monotonic_s


def found(of):
    return tuple(problems(of, at)), tuple(warnings(of))


def test_an_agent_that_is_alone_by_design_has_nothing_wrong():
    assert found(seen()) == ((), ())


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RUNNING])
def test_one_that_leaves_is_not_ready_and_says_so_and_since_when(phase):
    (problem,), _ = found(seen(phase=phase))
    assert problem.what == f"this agent is {phase.value}"
    assert problem.since_unix_s == BOOT + 40.0


def test_one_that_drains_says_so_and_is_not_ready_so_that_clients_are_sent_elsewhere():
    record = record_of(OWN)
    body = msgspec.structs.replace(record.body, draining=True)
    draining = routes_of(OWN, msgspec.structs.replace(record, body=body))
    (problem,), none = found(seen(routes=draining))
    assert none == ()
    assert (problem.what, problem.since_unix_s) == (DRAINING, BOOT + 45.0)


def test_ports_links_and_grants_are_told_with_since_when_and_what_to_do():
    parts = (
        PartState("acceptor 127.0.0.1:4433", "port taken", 5.0),
        PartState("listener api 127.0.0.1:6000", "port taken", 6.0),
        PartState("endpoint db", "withdrawn until its target passes its health check: refused", 7.0),
    )
    wrong, looked_at = found(seen(CONFIG, parts=parts, granted=()))
    told = {finding.what: finding for finding in wrong}
    grants = told["the certificate of this agent does not let it offer 'db' or use 'api'"]
    assert grants.remedy.startswith("whoever has the authority's key grants it with: mesh certificate sign")
    assert grants.since_unix_s == BOOT + 2.0
    assert any(what.startswith(NO_LINK) for what in told)
    assert told["acceptor at 127.0.0.1:4433: port taken"].since_unix_s == BOOT + 5.0
    assert told["listener api at 127.0.0.1:6000: port taken"].since_unix_s == BOOT + 6.0
    (warning,) = looked_at
    assert warning.what.startswith("endpoint db is withdrawn until its target passes its health check")
    assert warning.since_unix_s == BOOT + 7.0


def test_a_certificate_that_is_over_is_a_problem_since_then_and_one_that_ends_soon_a_warning():
    ended = msgspec.structs.replace(certificate(), not_before=0, not_after=int(NOW) - 60)
    (problem,), _ = found(seen(certificate=ended))
    assert "expired on" in problem.what
    assert problem.since_unix_s == NOW - 60
    ending = msgspec.structs.replace(certificate(), not_before=0, not_after=int(NOW) + 3600)
    none, (warning,) = found(seen(certificate=ending))
    assert none == ()
    assert "expires on" in warning.what


@pytest.mark.parametrize(
    ("own", "what", "remedy"),
    [
        (True, "this agent was revoked on", "a new identity"),
        (False, "the issuer of this agent was", "issuer"),
    ],
)
def test_one_that_was_revoked_says_since_when_by_whom_and_why(own, what, remedy):
    whose = certificate().agent_id if own else AgentId(bytes(16))
    revoked = Revoked(Revocation(whose, int(NOW) - 60, reason="was stolen"), bytes(32), by_issuer=False)
    (problem,), _ = found(seen(revoked=revoked))
    assert problem.kind is FindingKind.REVOKED
    assert problem.what.startswith(what)
    assert "by the authority AAAAAAAA: was stolen" in problem.what
    assert problem.since_unix_s == NOW - 60
    assert remedy in problem.remedy


def test_a_twin_is_told_and_so_is_a_lack_of_descriptors():
    (twin, short), (met,) = found(
        seen(route_problems=("a twin runs",), link_warnings=("met",), descriptors=DescriptorUse(9, 9, 9))
    )
    assert (twin.what, met.what) == ("a twin runs", "met")
    assert [each.kind for each in (twin, short, met)] == ["record", "descriptors", "identity"]
    assert short.what.startswith("no descriptors are left")


def test_of_many_alike_some_are_told():
    many = [Finding(FindingKind.LISTENER, f"listener {number}: taken") for number in range(10_000)]
    told = some_alike(many, "listeners")
    assert told[:MAX_ALIKE] == tuple(many[:MAX_ALIKE])
    assert {one.kind for one in told} == {"listener"}
    assert [one.what for one in told[MAX_ALIKE:]] == ["the same is true of 9,992 more listeners"]
    assert some_alike(many[:MAX_ALIKE], "listeners") == tuple(many[:MAX_ALIKE])


def test_a_reload_that_was_refused_is_a_warning_with_its_first_reason():
    refused = refusal_of(Outcome.refused(("c.yaml:3: peers: expected a list", "x", "y")), NOW)
    (found,) = warnings(seen(refused_reload=refused))
    assert found.what.endswith("goes on as it was: c.yaml:3: peers: expected a list, and 2 more")
    assert (found.kind, found.since_unix_s) == (FindingKind.CONFIGURATION, NOW)
    assert refusal_of(Outcome.refused(("gone",)), NOW).what.endswith("as it was: gone")
    assert refusal_of(Outcome(Verdict.PARTLY, problems=("port taken",)), NOW) is None


def test_a_certificate_of_http_tls_that_ends_is_a_warning_and_the_agent_ready(tmp_path):
    for ends, said in ((NOW + 86_400, "expires on"), (NOW - 86_400, "expired on")):
        (found,) = warnings(seen(web_certificate=WebCertificate(tmp_path, NOW - 10**8, ends)))
        assert (found.kind, found.remedy) == (FindingKind.TLS, REMEDY)
        assert said in found.what
