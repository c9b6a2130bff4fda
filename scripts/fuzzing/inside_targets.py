"""What agents say to what others serve inside of themselves: echoes, benches, and questions to the API."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mesh.agent.cli.starter_config import AgentPlan, starter_config
from mesh.config.address_kinds import Dial
from mesh.config.kinds import Context, Scalar
from mesh.config.loading import parse_config
from mesh.diagnostics.serving import ECHO_WAITING_BYTES, Bench, Echo
from mesh.diagnostics.talk import PIECE_BYTES, Talk
from mesh.errors import RemoteProtocolError
from mesh.escaping import can_be_seen
from mesh.remote.enrolment import read_grant, read_wish, write_grant
from mesh.remote.join_token import token_from_text, token_to_text
from mesh.remote.talks import Answering, Asking
from mesh.remote.wire import MAX_REQUEST_BYTES, read_answered, read_asked, write_answered, write_asked
from mesh.trust.identity import encode_public_key
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.people import ME, UNIX_NOW, YOU

_TALKS: Final[tuple[Callable[[float], Talk], ...]] = (
    Echo,
    Bench,
    Answering,
    lambda now: Asking(b"question" * 99, now),
)
_HERE: Final = Context(Path("/"))
_ROOM_BYTES: Final = 64 * 1024
"""Of a read."""


def inside(data: bytes) -> None:
    """Pieces, pauses and the end of the stream, in any order: each talk ends in time and holds little."""
    choices, now = Choices(data), 1000.0
    talk = choices.one_of(_TALKS)(now)
    has_ended, asked = False, 0
    while choices.left and not (talk.is_over or talk.has_expired):
        match choices.below(5):
            case 0 if not has_ended:
                room = min(talk.room(now), _ROOM_BYTES)
                if room > 0:
                    talk.take((choices.blob(255) or b"x") * (room // 255) or b"x", now)
            case 1 if not has_ended:
                has_ended = True
                talk.ended(now)
            case 2:
                now += choices.one_of((0.001, 1.0, 60.0, 4000.0))
                talk.look(now)
            case _:
                assert len(talk.next_piece(now)) <= max(PIECE_BYTES, 2 * ECHO_WAITING_BYTES)  # noqa: S101
        if isinstance(talk, Answering):
            question = talk.question(now)
            if question is not None:
                asked += 1
                assert len(question) <= MAX_REQUEST_BYTES  # noqa: S101
                talk.answer(question)
    assert asked <= 1  # noqa: S101
    talk.look(now + 10_000)
    assert talk.is_over or talk.has_expired or talk.deadline() > now + 10_000  # noqa: S101


def remote(data: bytes) -> None:
    """A question to another agent, or the answer of one: read, or refused as what it is."""
    try:
        if data[:1] > b"\x7f":
            answered = read_answered(data[1:])
            assert read_answered(write_answered(answered)) == answered  # noqa: S101
        else:
            asked = read_asked(data[1:])
            assert read_asked(write_asked(asked)) == asked  # noqa: S101
    except RemoteProtocolError:
        pass


def enrolment(data: bytes) -> None:
    """A question for a certificate, or an issuer's answer: read, or refused as what it is."""
    told = ""
    try:
        if data[:1] < b"\x80":
            read_wish(data[1:], issuer=YOU.id, asker=ME.id)
        else:
            grant = read_grant(data[1:])
            assert read_grant(write_grant(grant)) == grant  # noqa: S101
    except RemoteProtocolError as error:
        told = str(error)
    assert can_be_seen(told)  # noqa: S101


def join_token(data: bytes) -> None:
    """A token as somebody has copied it."""
    told = ""
    try:
        token = token_from_text(data.decode("utf-8", "replace"))
    except ValueError as error:
        token, told = None, str(error)
    assert can_be_seen(told)  # noqa: S101
    if token is None:
        return
    assert token_from_text(token_to_text(token)) == token  # noqa: S101
    for address in token.addresses:
        assert can_be_seen(_why_not(address))  # noqa: S101
    with contextlib.suppress(ValueError):
        peers = [Dial().parse(Scalar(address, "str"), _HERE) for address in token.addresses]
        authorities = tuple(map(encode_public_key, token.authorities))
        plan = AgentPlan(
            name="laptop", accept=None, peers=token.addresses, guessed_peers=(), http="127.0.0.1:8080"
        )
        text = starter_config(plan, authorities, UNIX_NOW).encode()
        config = parse_config(text, file="f", directory=Path("/"), environment={}, host_name="h")
        assert [each.address for each in config.peers] == peers  # noqa: S101
        assert config.trust is not None  # noqa: S101
        assert config.trust.authorities == tuple(dict.fromkeys(token.authorities))  # noqa: S101


def _why_not(address: str) -> str:
    """Why an address is none, for people; empty if it is one."""
    try:
        Dial().parse(Scalar(address, "str"), _HERE)
    except ValueError as error:
        return str(error)
    return ""
