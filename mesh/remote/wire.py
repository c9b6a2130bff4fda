"""A question to another agent's API and its answer, as they are on the wire.

Each is one MessagePack array of the fields of its Struct, in their order, and the end of the stream ends it.
It is HTTP without its text: nothing in it is to be split at line breaks, so nothing can be smuggled into it.
"""

from typing import Annotated, Final, TypeAlias

import msgspec

from mesh.errors import RemoteProtocolError

MAX_ASKED_BODY_BYTES: Final = 64 * 1024
"""As the control socket takes."""

MAX_PLACE_CHARACTERS: Final = 8 * 1024
"""Of a path and its query."""

MAX_ASKER_CHARACTERS: Final = 100

MAX_REQUEST_BYTES: Final = 80 * 1024
"""Of a question: the largest body, the longest place, and what stands around them."""

MAX_ANSWERED_BODY_BYTES: Final = 16 * 1024 * 1024
"""The largest page of a list, and the document of the dashboard, are far smaller."""

MAX_ANSWER_BYTES: Final = MAX_ANSWERED_BODY_BYTES + 4096

MAX_RETRY_AFTER_S: Final = 3600

_Place = Annotated[str, msgspec.Meta(pattern=r"\A/[\x21-\x7e]*\Z", max_length=MAX_PLACE_CHARACTERS)]
_Header = Annotated[str, msgspec.Meta(pattern=r"\A[\x20-\x7e]*\Z", max_length=255)]
_Status = Annotated[int, msgspec.Meta(ge=200, le=599)]
_RetryAfter = Annotated[int, msgspec.Meta(ge=0, le=MAX_RETRY_AFTER_S)]
_Asker = Annotated[str, msgspec.Meta(max_length=MAX_ASKER_CHARACTERS)]
_AskedBody = Annotated[bytes, msgspec.Meta(max_length=MAX_ASKED_BODY_BYTES)]
_AnsweredBody = Annotated[bytes, msgspec.Meta(max_length=MAX_ANSWERED_BODY_BYTES)]
_Method: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A(?:GET|POST|PUT|DELETE)\Z")]


class Asked(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A question."""

    method: _Method
    place: _Place
    """Path and query, as in the first line of a request of HTTP."""
    content_type: _Header = ""
    if_match: _Header = ""
    asker: _Asker = ""
    """Who asked at the agent that asks, by its own account: for the log."""
    body: _AskedBody = b""


class Answered(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer to one."""

    status: _Status
    """Of HTTP."""
    content_type: _Header = ""
    etag: _Header = ""
    retry_after_s: _RetryAfter = 0
    """0 where nothing is said of it."""
    body: _AnsweredBody = b""


def write_asked(asked: Asked) -> bytes:
    """What is sent; a question with a field out of its range is refused at the other end."""
    return _ENCODER.encode(asked)


def write_answered(answered: Answered) -> bytes:
    """What is sent back."""
    return _ENCODER.encode(answered)


def read_asked(data: bytes) -> Asked:
    """The question in ``data``.

    Raises:
        RemoteProtocolError: it is none.
    """
    try:
        return _ASKED.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"malformed question: {error}") from None


def read_answered(data: bytes) -> Answered:
    """The answer in ``data``.

    Raises:
        RemoteProtocolError: it is none, or it was cut off.
    """
    try:
        return _ANSWERED.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"malformed answer: {error}") from None


_ENCODER: Final = msgspec.msgpack.Encoder()
_ASKED: Final = msgspec.msgpack.Decoder(Asked)
_ANSWERED: Final = msgspec.msgpack.Decoder(Answered)
