"""Joins a mesh: an agent that is the invitation links, asks its issuer for a certificate, and leaves.

It runs in this process, without a directory, a log or an HTTP address, until the certificate is there. The
private key of the new agent is made here and stays here.
"""

import contextlib
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pykka

from actors.messages import agent as agent_messages
from actors.messages import peer_directory as directory_messages
from actors.meters import Meters
from actors.root.agent import Agent
from actors.root.setup import AgentSetup
from actors.runtime.descriptors import raise_descriptor_limit
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.reference import AskRef
from actors.runtime.registry import install_ordered_registry
from mesh.addresses import TcpAddress
from mesh.agent.actor_questions import agent_refs, answer_by
from mesh.agent.dashboard.states import CONNECTED
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.enrolment.asking import NotGrantedError, ask_for_certificate, routes_of
from mesh.config.address_kinds import Dial
from mesh.config.kinds import Context, Scalar
from mesh.config.schema import AgentSection, Config, PeerSection
from mesh.connection.stream import StreamBudget
from mesh.errors import ExpiredError, MeshError, NotYetValidError, TrustError
from mesh.escaping import escaped
from mesh.link.relay_budget import RelayBudget
from mesh.remote.join_token import JoinToken
from mesh.trust.certificates import Certificate, TrustStore, issuer_of
from mesh.trust.identity import Identity

LINK_S: Final = 15.0
"""For one of the addresses to answer."""

REACH_S: Final = 10.0
"""From then on, for a path to the issuer."""

LOOK_S: Final = 0.02
"""How often it is looked whether there is one."""

LEAVE_S: Final = 2.0
"""For the mesh to hear that the invitation leaves."""


_BEHIND: Final = "set this machine's clock, which is behind that of the issuer"


class NotJoinedError(MeshError):
    """The agent has not joined; the text says why and what to do, in one line for people."""


class Invitation(msgspec.Struct, frozen=True):
    """A token that has been judged."""

    token: JoinToken
    certificate: Certificate
    issuer: Certificate
    trust: TrustStore
    peers: tuple[PeerSection, ...]

    def __repr__(self) -> str:
        return f"Invitation({self.certificate.name!r})"


def judged(token: JoinToken, now_unix_s: float) -> Invitation:
    """``token``, if one can join by it now.

    Raises:
        NotJoinedError: one cannot.
    """
    trust = TrustStore(token.authorities)
    try:
        certificate = trust.admit(token.certificate, now_unix_s)
    except ExpiredError as error:
        raise NotJoinedError(
            f"the token has expired: {error}; ask for another, or set the clock, if it is that which is wrong"
        ) from None
    except NotYetValidError as error:
        raise NotJoinedError(f"{_BEHIND}: {error}") from None
    except TrustError as error:
        raise NotJoinedError(f"the token is of no use: {error}") from None
    issuer = issuer_of(certificate)
    is_ours = Identity(token.seed).public_key == certificate.subject
    if issuer is None or not certificate.is_invitation or not is_ours:
        raise NotJoinedError("the token is of no use: what is in it is no invitation")
    try:
        peers = tuple(PeerSection(address=_dialed(address)) for address in token.addresses)
    except ValueError as error:
        raise NotJoinedError(f"the token is of no use: an address in it is none: {error}") from None
    return Invitation(token, certificate, issuer, trust, peers)


def _dialed(address: str) -> TcpAddress:
    return Dial().parse(Scalar(address, "str"), Context(Path()))


def enrolled(invitation: Invitation, owner: Identity) -> bytes:
    """The certificate that the issuer gives ``owner``, as wire bytes; it admits that agent.

    Raises:
        NotJoinedError: it gives none.
    """
    with _agent(invitation) as root:
        _wait_for_issuer(root, invitation)
        try:
            wire = ask_for_certificate(root, routes_of(root), invitation.issuer.agent_id, owner)
        except (NotGrantedError, StatusUnavailable) as error:
            why = f"the issuer {escaped(invitation.issuer.name)} gives no certificate: {escaped(str(error))}"
            has_refused = isinstance(error, NotGrantedError) and error.is_final
            raise NotJoinedError(why if has_refused else f"{why}; try again in a moment") from None
    try:
        certificate = TrustStore(invitation.token.authorities).admit(wire, time.time())
    except NotYetValidError as error:
        raise NotJoinedError(f"{_BEHIND}: {error}") from None
    except TrustError as error:
        raise NotJoinedError(f"the issuer has answered with a certificate of no use: {error}") from None
    if certificate.subject != owner.public_key:
        raise NotJoinedError("the issuer has answered with the certificate of another key")
    if certificate.name != invitation.certificate.name or certificate.is_invitation:
        raise NotJoinedError("the issuer has answered with the certificate of another agent")
    return wire


@contextlib.contextmanager
def _agent(invitation: Invitation) -> Iterator[AskRef[agent_messages.Inbound]]:
    """The root of the actors of an agent that is the invitation; in the end it leaves."""
    install_ordered_registry()
    left: queue.SimpleQueue[object] = queue.SimpleQueue()
    config = Config(agent=AgentSection(name=invitation.certificate.name, relay=False), peers=invitation.peers)
    dispatcher = LoopDispatcher("actors", on_fatal=left.put)
    dispatcher.start()
    try:
        root = Agent.start(
            dispatcher,
            setup=AgentSetup(
                identity=Identity(invitation.token.seed),
                certificate=invitation.certificate,
                certificate_wire=invitation.token.certificate,
                trust=invitation.trust,
                config=config,
                descriptor_limit=raise_descriptor_limit(),
            ),
            meters=Meters(),
            budget=StreamBudget(config.limits.stream_buffer_bytes),
            relay_budget=RelayBudget(config.limits.relay_buffer_bytes),
            on_left=lambda: left.put(None),
        )
        try:
            yield root
        finally:  # also if it has not joined: else the mesh knows it until its record expires
            with contextlib.suppress(pykka.ActorDeadError, queue.Empty):
                root.tell(agent_messages.Leave(0.0))
                left.get(timeout=LEAVE_S)
    finally:
        dispatcher.stop(LEAVE_S)


def _wait_for_issuer(root: AskRef[agent_messages.Inbound], invitation: Invitation) -> None:
    """Return as soon as a path leads to the issuer.

    Raises:
        NotJoinedError: none does.
    """
    issuer = invitation.issuer.agent_id
    deadline, linked = time.monotonic() + LINK_S, False
    while True:
        try:
            peers = _peers(root)
            if not linked and any(peer.state == CONNECTED for peer in peers):
                deadline, linked = time.monotonic() + REACH_S, True
            if linked and issuer in routes_of(root).hop_counts:
                return
        except StatusUnavailable:
            peers = ()
        if time.monotonic() >= deadline:
            raise NotJoinedError(_why_not(invitation, peers, linked=linked))
        time.sleep(LOOK_S)


def _why_not(
    invitation: Invitation, peers: tuple[directory_messages.PeerStatus, ...], *, linked: bool
) -> str:
    if linked:
        name = escaped(invitation.issuer.name)
        return f"the issuer {name} is away: no path of the mesh leads to it; try again when it runs"
    found = {peer.address: peer.problem or peer.state for peer in peers}
    said = "; ".join(
        f"{peer.address}: {escaped(found.get(str(peer.address), 'silent'))}" for peer in invitation.peers
    )
    return f"no address in the token lets this machine in: {said}"


def _peers(root: AskRef[agent_messages.Inbound]) -> tuple[directory_messages.PeerStatus, ...]:
    deadline = time.monotonic() + 1.0
    refs = agent_refs(root, deadline)
    asked: pykka.Future[tuple[directory_messages.PeerStatus, ...]] = refs.directory.ask(
        directory_messages.GetPeers(), block=False
    )
    return answer_by(asked, deadline)
