"""Pages of a record, and what a record says together with them and with what it shows to this agent only."""

from collections.abc import Iterable
from hashlib import blake2b
from itertools import chain
from typing import Final

import msgspec

from mesh.errors import RemoteProtocolError
from mesh.routing.records import (
    PAGE_DIGEST_BYTES,
    Page,
    PageBody,
    Record,
    Shown,
    judge_entries,
    judge_keys,
)
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId


def page_digest(agent_id: AgentId, data: bytes) -> bytes:
    """BLAKE2b (RFC 7693) of a page, 16 bytes, personalised with its agent's ID: nobody else has it."""
    return blake2b(data, digest_size=PAGE_DIGEST_BYTES, person=agent_id).digest()


def read_page(data: bytes, certificate: Certificate) -> Page:
    """The page in ``data``, whose agent has ``certificate``.

    Raises:
        RemoteProtocolError: it is no page.
    """
    try:
        body = _PAGE_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a page that cannot be read: {error}") from error
    judge_entries(body.endpoints, body.listeners)
    return Page(data, body, *judge_keys(body.endpoints, certificate))


def with_pages(record: Record, pages: Iterable[Page]) -> Record:
    """``record`` with these of its pages, whose keys have been judged by its certificate."""
    pages = tuple(pages)
    if not pages:
        return record
    offered = dict.fromkeys(chain(record.offered_keys, *(page.offered_keys for page in pages)))
    denied = dict.fromkeys(chain(record.denied_keys, *(page.denied_keys for page in pages)))
    return msgspec.structs.replace(
        record, pages=pages, offered_keys=tuple(offered), denied_keys=tuple(denied)
    )


def with_shown(record: Record, shown: Shown) -> Record:
    """``record`` with what is shown to this agent, whose keys are judged by the certificate as all are."""
    offered, denied = judge_keys(shown.endpoints, record.certificate)
    return msgspec.structs.replace(
        record,
        shown=shown,
        offered_keys=tuple(dict.fromkeys((*record.offered_keys, *offered))),
        denied_keys=tuple(dict.fromkeys((*record.denied_keys, *denied))),
    )


_PAGE_DECODER: Final = msgspec.msgpack.Decoder(PageBody)
