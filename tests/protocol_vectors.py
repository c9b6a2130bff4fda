"""The worked example of ``docs/PROTOCOL.md``: every octet of a link and a session made from fixed keys."""

from mesh.frames import VERSION, Frame, FrameType, FrameWriter, associated_data, link_frame
from mesh.identity import Identity, Instance
from mesh.link_bodies import encode_ping
from mesh.link_handshake import LinkHandshake
from mesh.loops import socket_tag
from mesh.noise import key_pair
from mesh.records import EndpointEntry, Neighbour, RecordBody, sign_record
from mesh.session import OpenReply, OpenRequest, Party, SessionInitiator, SessionResponder
from mesh.stream.control import encode_acknowledgement
from mesh.trust import TrustStore, issue_certificate

NOT_BEFORE, NOT_AFTER = 1_700_000_000, 1_800_000_000
NOW = 1_750_000_000.0


def _pair(octet):
    return key_pair(bytes([octet]) * 32)


def vectors():
    """Name to octets, in the order of the document."""
    first, second, authority = (Identity(bytes([octet]) * 32) for octet in (1, 2, 3))
    certificates = [
        issue_certificate(
            authority,
            subject=agent.public_key,
            name=name,
            not_before=NOT_BEFORE,
            not_after=NOT_AFTER,
            may_register=("*",),
            may_use=("*",),
            may_relay=True,
        )
        for agent, name in ((first, "a"), (second, "b"))
    ]
    found = {
        "A public key": first.public_key,
        "A id": first.id,
        "B id": second.id,
        "authority public key": authority.public_key,
        "A certificate": certificates[0],
    }
    writer = _add_link(found, (first, second), certificates, TrustStore([authority.public_key]))
    _add_session(found, (first, second), writer)
    body = RecordBody(
        public_key=first.public_key,
        epoch=1_750_000_000_000,
        sequence=0,
        instance=Instance(bytes([8]) * 16),
        session_key=_pair(10).public,
        certificate=certificates[0],
        relays=True,
        draining=False,
        withdrawn=False,
        neighbours=(Neighbour(second.id, 3),),
        endpoints=(EndpointEntry("my-api", "localhost:3000"),),
    )
    record = sign_record(first, body)
    found["record signed"] = record.signed
    found["record signature"] = record.signature
    return found


def _add_link(found, agents, certificates, trust):
    """Add the handshake and the first frame; returns A's writer."""
    initiator, responder = (
        LinkHandshake(
            initiator=position == 0,
            identity=agents[position],
            certificate=certificates[position],
            instance=Instance(bytes([8 + position]) * 16),
            static=_pair(4 + position),
            ephemeral=_pair(6 + position),
            trust=trust,
        )
        for position in (0, 1)
    )
    found["link octets 1"] = initiator.start()
    found["link octets 2"] = responder.receive(found["link octets 1"], NOW).to_send
    progress = initiator.receive(found["link octets 2"], NOW)
    found["link octets 3"] = progress.to_send
    link = progress.established
    assert link is not None
    assert responder.receive(progress.to_send, NOW).established.receive_key == link.send_key
    found["link hash"] = link.handshake_hash
    found["link key A to B"] = link.send_key
    found["link key B to A"] = link.receive_key
    writer = FrameWriter(link.send_key)
    found["PING"] = b"".join(writer.seal(link_frame(FrameType.PING, encode_ping(1))))
    return writer


def _add_session(found, agents, writer):
    """Add the opening of connection 1 from A to B, a control frame and a segment of A."""
    parties = [
        Party(
            id=agents[position].id,
            instance=Instance(bytes([8 + position]) * 16),
            session_key=_pair(10 + position).public,
        )
        for position in (0, 1)
    ]
    ingress = SessionInitiator(
        local=parties[0], remote=parties[1], connection=1, static=_pair(10), ephemeral=_pair(12)
    )
    exit_ = SessionResponder(
        local=parties[1], remote=parties[0], connection=1, static=_pair(11), ephemeral=_pair(13)
    )
    opening = ingress.open_frame(OpenRequest(routing_key="my-api", credit=65_536))
    exit_.read_open(opening)
    tag = socket_tag(parties[0].instance, "127.0.0.1:40000", "127.0.0.1:3000")
    answer, _ = exit_.reply(OpenReply(accepted=True, credit=65_536, socket_tag=tag))
    _, session = ingress.read_reply(answer)
    found["OPEN body"] = opening.body
    found["socket tag"] = tag
    found["ACCEPT body"] = answer.body
    found["session key A to B"], found["session key B to A"] = ingress._handshake.split()
    payload = encode_acknowledgement(
        next_number=0, credit=65_536, missing_until=0, marked=0, echo=0, delay_s=0.0
    )
    found["PROBE payload"] = payload
    found["PROBE body"] = session.seal_control(FrameType.PROBE, payload).body
    data: Frame = session.seal_segment(FrameType.DATA, 0, b"hello")
    found["DATA associated data"] = associated_data(
        VERSION, FrameType.DATA, data.source, data.destination, 1, 0, len(data.body)
    )
    found["DATA body"] = data.body
    found["DATA frame"] = b"".join(writer.seal(data))
