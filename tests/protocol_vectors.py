"""The worked example of ``docs/PROTOCOL.md``: every byte of a link and a session made from fixed keys.

``python -m tests.protocol_vectors`` writes it into the document anew.
"""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from mesh.connection.loops import ends_of, socket_tag
from mesh.connection.opening_payloads import OpenReply, OpenRequest
from mesh.connection.party import Party
from mesh.connection.session_handshake import SessionInitiator, SessionResponder
from mesh.connection.short_open import ShortInitiator, ShortResponder
from mesh.connection.stream.control import (
    Fin,
    Reset,
    ResetCode,
    encode_acknowledgement,
    encode_fin,
    encode_reset,
)
from mesh.link.bodies import (
    Digest,
    DigestEntry,
    Records,
    WantedPages,
    WirePage,
    decode_rekey,
    encode_digest,
    encode_pages,
    encode_ping,
    encode_records,
    encode_rekey,
    encode_want_pages,
)
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import VERSION, Frame, FrameType, associated_data, link_frame
from mesh.link.handshake import LinkHandshake
from mesh.link.opening import TICKET_BYTES
from mesh.link.rekeying import PROLOGUE_CONTEXT
from mesh.routing.pages import page_digest
from mesh.routing.records import (
    EndpointEntry,
    ListenerEntry,
    Neighbour,
    PageBody,
    PageName,
    RecordBody,
    Shown,
    sign_record,
)
from mesh.routing.sealed_blocks import seal
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance, agent_id_of
from mesh.trust.noise import Handshake, key_pair
from mesh.trust.noise.primitives import SharedSecrets
from tests.mesh.connection.replies import reply_with
from tests.mesh.link.frame_company import clear_header, wire

NOT_BEFORE, NOT_AFTER = 1_700_000_000, 1_800_000_000
NOW = 1_750_000_000.0


def _pair(byte):
    return key_pair(bytes([byte]) * 32)


def vectors():
    """Name to bytes, in the order of the document."""
    first, second, authority = (Identity(bytes([byte]) * 32) for byte in (1, 2, 3))
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
    body = _record_body(first, second, certificates[0])
    record = sign_record(first, body)
    found["record signed"] = record.signed
    found["record signature"] = record.signature
    _add_flooding(found, body, record, writer)
    _add_pages(found, first.id, body)
    _add_block(found, first.id)
    _add_new_keys(found)
    return found


def _record_body(first, second, certificate):
    """What A says of itself."""
    return RecordBody(
        public_key=first.public_key,
        epoch=1_750_000_000_000,
        sequence=0,
        instance=Instance(bytes([8]) * 16),
        session_key=_pair(10).public,
        certificate=certificate,
        relays=True,
        draining=False,
        withdrawn=False,
        neighbours=(Neighbour(second.id, 3),),
        endpoints=(EndpointEntry("my-api", "localhost:3000"),),
    )


def _add_flooding(found, body, record, writer):
    """Add what A tells B of its record."""
    entry = DigestEntry(agent_id_of(body.public_key), body.epoch, body.sequence, body.instance)
    digest = encode_digest(Digest((entry,)))
    found["DIGEST payload"] = digest
    found["DIGEST frame"] = b"".join(writer.seal(link_frame(FrameType.DIGEST, digest)))
    records = encode_records(Records((replace(record, age_ms=7),)))
    found["RECORDS payload"] = records
    found["RECORDS frame"] = b"".join(writer.seal(link_frame(FrameType.RECORDS, records)))


def _add_pages(found, agent_id, body):
    """Add a page that A might have, and how it is asked for."""
    page = msgspec.msgpack.encode(PageBody(body.endpoints, (ListenerEntry("db", "127.0.0.1:5432"),)))
    name = PageName(page_digest(agent_id, page), len(page), 2)
    found["page"] = page
    found["page named"] = msgspec.msgpack.encode(name)
    found["WANT_PAGES body"] = encode_want_pages((WantedPages(agent_id, (name.digest,)),))
    found["PAGES body"] = encode_pages((WirePage(agent_id, page),))


def _add_block(found, agent_id):
    """Add what A might show to B only."""
    own = SharedSecrets(_pair(10))
    content = msgspec.msgpack.encode(Shown((EndpointEntry("payroll", None),)))
    shared = own.with_owner_of(_pair(11).public)
    block = seal(content, agent_id, own.with_owner_of(_pair(10).public), [shared])
    found["shared secret"] = shared
    found["sealed content"] = content
    found["sealed block"] = msgspec.msgpack.encode(block)


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
            expected=None,
            ticket=(bytes([14]) * TICKET_BYTES, b"")[position],
        )
        for position in (0, 1)
    )
    found["link bytes 1"] = initiator.start()
    found["link bytes 2"] = responder.receive(found["link bytes 1"], NOW).to_send
    progress = initiator.receive(found["link bytes 2"], NOW)
    found["link bytes 3"] = progress.to_send
    link = progress.established
    assert link is not None
    assert responder.receive(progress.to_send, NOW).established.receive_key == link.send_key
    found["link key A to B"] = link.send_key
    found["link key B to A"] = link.receive_key
    found["link ticket"] = link.ticket
    found["link binding"] = link.binding
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
    pairs = []
    ingress = SessionInitiator(
        local=parties[0],
        remote=parties[1],
        connection=1,
        static=_pair(10),
        ephemeral=_pair(12),
        agreed=pairs.append,
    )
    exit_, other_exit = (
        SessionResponder(
            local=parties[1],
            remote=parties[0],
            connection=1,
            static=_pair(11),
            ephemeral=_pair(13),
            agreed=pairs.append,
        )
        for _ in range(2)
    )
    opening = ingress.open_frame(OpenRequest(routing_key="my-api", credit=65_536, renews_keys=True))
    exit_.read_open(opening)
    tag = socket_tag(parties[0].instance, ends_of("127.0.0.1:40000", "127.0.0.1:3000"), b"")
    answer, at_exit = reply_with(exit_, OpenReply(accepted=True, credit=65_536, socket_tag=tag))
    _, session = ingress.read_reply(answer)
    other_exit.read_open(opening)
    rejection, _ = reply_with(other_exit, OpenReply(accepted=False, code="at-capacity", reason="it is full"))
    found["OPEN body"] = opening.body
    found["socket tag"] = tag
    found["ACCEPT body"] = answer.body
    found["REJECT body"] = rejection.body
    found["session key A to B"], found["session key B to A"] = ingress._handshake.split()
    _add_short(found, parties, pairs[0])
    payload = encode_acknowledgement(
        next_number=0, credit=65_536, missing_until=0, marked=0, echo=0, silence_s=0.0, delay_s=0.0
    )
    found["PROBE payload"] = payload
    found["PROBE body"] = session.seal_control(FrameType.PROBE, payload).body
    data: Frame = session.seal_segment(FrameType.DATA, 0, b"hello")
    found["DATA associated data"] = associated_data(
        VERSION, FrameType.DATA, data.source, data.destination, 1, 0, len(data.body)
    )
    found["DATA body"] = data.body
    found["DATA frame"] = b"".join(writer.seal(data))
    found["DATA header"] = clear_header(wire(data))
    passed_on = data.with_mark().after_a_hop(max_hops=16)
    found["DATA header after a hop"] = clear_header(wire(passed_on))
    found["DATA frame after a hop"] = b"".join(writer.seal(passed_on))
    found["FIN payload"] = encode_fin(Fin(next_number=0, delay_s=0.0), b"bye")
    found["FIN body"] = session.seal_segment(FrameType.FIN, 3, found["FIN payload"]).body
    found["ACK payload"] = encode_acknowledgement(
        next_number=1, credit=131_072, missing_until=3, marked=1, echo=1, silence_s=0.0, delay_s=0.0015
    )
    found["ACK body"] = at_exit.seal_control(FrameType.ACK, found["ACK payload"]).body
    reset = Reset(ResetCode.CANCELLED, is_answer=False, final_number=4)
    found["RESET payload"] = encode_reset(reset)
    found["RESET body"] = session.seal_control(FrameType.RESET, found["RESET payload"]).body
    answer_to_it = Reset(ResetCode.CANCELLED, is_answer=True, final_number=0)
    found["RESET answer payload"] = encode_reset(answer_to_it)
    found["RESET answer body"] = at_exit.seal_control(FrameType.RESET, found["RESET answer payload"]).body


def _add_short(found, parties, pair):
    """Add the opening of connection 2 under the pair session, accepted and rejected."""
    ingress, exit_ = parties
    secret = bytes(each ^ 0x36 for each in pair._inner[:32])  # as HMAC's inner hash has it
    found["pair secret"], found["pair name"] = secret, pair.name
    found["pair key A to B"], found["pair key B to A"] = keys = pair.keys(2)
    asking = ShortInitiator(local=ingress, remote=exit_, connection=2, pair=pair)
    opening = asking.open_frame(OpenRequest(routing_key="my-api", credit=65_536, renews_keys=True))
    found["short OPEN body"] = opening.body
    for name, reply in (
        ("short ACCEPT body", OpenReply(accepted=True, credit=65_536)),
        ("short REJECT body", OpenReply(accepted=False, code="at-capacity", reason="it is full")),
    ):
        answering = ShortResponder(local=exit_, remote=ingress, connection=2, keys=keys)
        answering.read_open(opening)
        found[name] = reply_with(answering, reply)[0].body


def _add_new_keys(found):
    """Add how A asks for new keys of the link, and B answers."""
    asking, answering = (
        Handshake(
            "KK",
            initiator=position == 0,
            prologue=PROLOGUE_CONTEXT + found["link binding"],
            static=_pair(4 + position),
            ephemeral=_pair(15 + position),
            remote_static=_pair(5 - position).public,
        )
        for position in (0, 1)
    )
    found["REKEY body"] = encode_rekey(asking.write_message(b""))
    answering.read_message(decode_rekey(found["REKEY body"]))
    found["NEW_KEY body"] = encode_rekey(answering.write_message(b""))
    found["next link key A to B"], found["next link key B to A"] = answering.split()
    found["next link binding"] = answering.handshake_hash


def block():
    """The example as the document prints it, between its fences."""
    lines = []
    for name, data in vectors().items():
        text = data.hex()
        lines.append(name)
        lines += [f"    {text[start : start + 92]}" for start in range(0, len(text), 92)]
    return "\n".join(lines) + "\n"


def main():
    """Write the example into the document."""
    path = Path(__file__).resolve().parent.parent / "docs" / "PROTOCOL.md"
    text = path.read_text(encoding="utf-8")
    start = text.index("```\n", text.index("## 14. Worked example")) + 4
    end = text.index("```", start)
    path.write_text(text[:start] + block() + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
