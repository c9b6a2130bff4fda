"""A token as the new machine judges it, and what it says if nobody answers."""

import contextlib
import socket
import time
import types

import msgspec
import pytest

from actors.messages import agent as agent_messages
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.enrolment import joining
from mesh.agent.enrolment.asking import NotGrantedError
from mesh.agent.enrolment.joining import NotJoinedError, enrolled, judged
from mesh.remote.join_token import JoinToken
from mesh.trust.certificates import issue_certificate
from mesh.trust.identity import Identity
from mesh.trust.issuing import IssuingLimits

AUTHORITY, ISSUER, INVITED, OTHER = (Identity(bytes([byte]) * 32) for byte in range(1, 5))
NOW = 1_700_000_000


def own(now=NOW):
    return issue_certificate(
        AUTHORITY,
        subject=ISSUER.public_key,
        name="hq",
        not_before=now - 1000,
        not_after=now + 10**6,
        may_issue=IssuingLimits(10**6),
    )


def token(now=NOW, *, is_invitation=True, name="laptop", **changes):
    certificate = issue_certificate(
        ISSUER,
        subject=INVITED.public_key,
        name=name,
        not_before=now,
        not_after=now + 3600,
        issuer=own(now),
        is_invitation=is_invitation,
    )
    made = JoinToken(("127.0.0.1:1",), (AUTHORITY.public_key,), b"\3" * 32, certificate)
    return msgspec.structs.replace(made, **changes)


def test_a_token_names_agent_and_issuer():
    invitation = judged(token(), NOW)
    assert (invitation.certificate.name, invitation.issuer.name) == ("laptop", "hq")
    assert [str(peer.address) for peer in invitation.peers] == ["127.0.0.1:1"]
    assert repr(invitation) == "Invitation('laptop')"


@pytest.mark.parametrize(
    ("made", "now", "why"),
    [
        (token(), NOW + 3600, r"the token has expired: .* ask for another, or set the clock"),
        (token(), NOW - 4000, r"set this machine's clock, which is behind that of the issuer: .* 2023-11-14"),
        (token(authorities=(OTHER.public_key,)), NOW, "the token is of no use: .* does not trust"),
        (token(certificate=b"\0" * 100), NOW, "the token is of no use: malformed certificate"),
        (token(certificate=own()), NOW, "what is in it is no invitation"),
        (token(is_invitation=False), NOW, "what is in it is no invitation"),
        (token(seed=b"\4" * 32), NOW, "what is in it is no invitation"),
        (token(addresses=("no port",)), NOW, "an address in it is none: .*host:port"),
        (token(addresses=("unix:/x",)), NOW, "an address in it is none"),
    ],
)
def test_a_token_by_which_nobody_can_join_says_why(made, now, why):
    with pytest.raises(NotJoinedError, match=why) as failure:
        judged(made, now)
    assert "\n" not in str(failure.value)


def test_if_no_address_answers_each_is_told(monkeypatch):
    monkeypatch.setattr(joining, "LINK_S", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: nobody else gets the port
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        invitation = judged(token(int(time.time()), addresses=(address,)), time.time())
        with pytest.raises(
            NotJoinedError, match=f"no address in the token lets this machine in: {address}: "
        ) as told:
            enrolled(invitation, OTHER)
    assert "\n" not in str(told.value)


def test_the_mesh_hears_that_the_invitation_leaves_also_if_nothing_came_of_it(monkeypatch):
    told = []

    def start(_, *, on_left, **__):
        def tell(message):
            told.append(message)
            on_left()

        return types.SimpleNamespace(tell=tell)

    monkeypatch.setattr(joining, "Agent", types.SimpleNamespace(start=start))
    with pytest.raises(NotJoinedError, match="used"), joining._agent(judged(token(), NOW)):
        raise NotJoinedError("the token is used")
    assert told == [agent_messages.Leave(0.0)]


def answered(now, *, subject=OTHER, signer=ISSUER, start=0, name="laptop"):
    """What an issuer gives."""
    issuer = own(now) if signer is ISSUER else b""
    return issue_certificate(
        signer,
        subject=subject.public_key,
        name=name,
        not_before=now + start,
        not_after=now + start + 3600,
        issuer=issuer,
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answered, ""),
        (lambda now: answered(now, subject=INVITED), "the certificate of another key"),
        (lambda now: answered(now, name='x"'), "the certificate of another agent"),
        (lambda now: answered(now, signer=OTHER), "a certificate of no use: .* does not trust"),
        (lambda _: b"garbage" * 20, "a certificate of no use: malformed"),
        (lambda now: answered(now, start=1000), "set this machine's clock, which is behind"),
        (NotGrantedError("it is\x1b used", is_final=True), r"hq gives no certificate: it is\\x1b used$"),
        (StatusUnavailable("busy"), "the issuer hq gives no certificate: busy; try again in a moment$"),
    ],
)
def test_whatever_the_issuer_answers_is_judged(monkeypatch, answer, why):
    now = int(time.time())

    def ask(*_):
        if isinstance(answer, Exception):
            raise answer
        return answer(now)

    monkeypatch.setattr(joining, "_agent", lambda invitation: contextlib.nullcontext())
    monkeypatch.setattr(joining, "_wait_for_issuer", lambda root, invitation: None)
    monkeypatch.setattr(joining, "routes_of", lambda root: None)
    monkeypatch.setattr(joining, "ask_for_certificate", ask)
    invitation = judged(token(now), now)
    if not why:
        assert enrolled(invitation, OTHER) == answered(now)
        return
    with pytest.raises(NotJoinedError, match=why) as failure:
        enrolled(invitation, OTHER)
    assert "\n" not in str(failure.value)
