"""Records: what an agent says of itself to the whole mesh, signed by it.

A record travels as a :class:`~mesh.link.bodies.WireRecord`: the signed bytes, an Ed25519 signature over them
with ``RECORD_CONTEXT``, and an age that is not signed. The signed bytes are the MessagePack array of the
fields of :class:`RecordBody`, in their order. Elements beyond those known here are ignored, as are extensions
that are not critical, and whoever forwards a record passes its bytes on untouched, so a later agent may add
some.

Reading is in two steps, because a signature costs far more than a look at the freshness: :func:`decode_body`
judges form and size, ``record_reader.py`` judges who says so.

An agent with many endpoints and listeners has them in *pages* beside its record, which names each by digest
and size. So a page needs no signature, lives exactly as long as a record names it, and is not sent again
while it stays as it is. ``service_layout.py`` cuts them, ``page_table.py`` gathers those of others.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

import msgspec

from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.link.bodies import MAX_BODY_PLAINTEXT_BYTES, WireRecord
from mesh.routing.sealed_blocks import MAX_BLOCKS, SealedBlock
from mesh.routing.software import software_in
from mesh.rtt_steps import MAX_RTT_STEP
from mesh.trust.certificates import MAX_CERTIFICATE_BYTES, Certificate, TrustStore
from mesh.trust.extensions import Extensions
from mesh.trust.identity import (
    AGENT_ID_BYTES,
    INSTANCE_BYTES,
    PUBLIC_KEY_BYTES,
    RECORD_CONTEXT,
    AgentId,
    Identity,
    Instance,
    agent_id_of,
)

MAX_SIGNED_BYTES: Final = 60_000
"""A record and its envelope fit into one frame of a link."""
assert MAX_SIGNED_BYTES + 256 <= MAX_BODY_PLAINTEXT_BYTES  # noqa: S101

MAX_NEIGHBOURS: Final = 1_024
"""A relay in the middle of a large star, at 20 bytes each."""

MAX_ENDPOINTS: Final = 10_000
MAX_LISTENERS: Final = 10_000
"""What an agent may offer, and listen for; ``mesh check`` and ``/ready`` name what is beyond."""

MAX_ENTRIES: Final = MAX_ENDPOINTS + MAX_LISTENERS + MAX_BLOCKS
"""On all pages of one agent."""

MAX_SERVICE_BYTES: Final = 4 * 1024 * 1024
"""All pages of one agent together: what it can make every other agent hold, whatever it sends."""

MAX_INLINE_ENTRIES: Final = 512
"""Endpoints, and listeners, in the record itself."""

MAX_LISTENERS_OF_A_KEY: Final = 8
"""Local ports of one agent for one key; and it offers a key once."""

MAX_PAGES: Final = 1_100
"""More than ``MAX_SERVICE_BYTES`` make, as no page but the last is shorter than ``MIN_PAGE_BYTES``."""

MAX_PAGE_BYTES: Final = 32_000
"""A page fits into a frame, and a ping behind it does not wait for long."""

MAX_PAGE_ENTRIES: Final = 1_024
"""What is read in one turn: some 2 ms."""

PAGE_DIGEST_BYTES: Final = 16
"""Against a second page with the digest of the first; two pages of its own that are alike confuse only those
who look for their maker's keys."""

MAX_KEY_CHARACTERS: Final = 255
MAX_ADDRESS_CHARACTERS: Final = 512
"""A host name has at most 253 characters; a unix socket's path at most 107."""

MAX_EPOCH: Final = 2**62
"""What can be read; how far ahead of the clock an epoch may be, ``epochs.py`` says."""

MAX_SEQUENCE: Final = 2**32 - 1
"""A record a second for longer than any process runs. Beyond it the next epoch begins, a millisecond on."""

SESSION_KEY_BYTES: Final = 32

Freshness: TypeAlias = tuple[int, int, Instance]
"""(epoch, sequence, instance); the greater one is the newer record.

The instance decides between two runs that came to the same numbers, as happens when an agent's clock was set
back. It makes the whole mesh keep the same one of the two; if that is the old run's, the new one sees it."""

_AgentId = Annotated[AgentId, msgspec.Meta(min_length=AGENT_ID_BYTES, max_length=AGENT_ID_BYTES)]
_Instance = Annotated[Instance, msgspec.Meta(min_length=INSTANCE_BYTES, max_length=INSTANCE_BYTES)]
_PublicKey = Annotated[bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]
_SessionKey = Annotated[bytes, msgspec.Meta(min_length=SESSION_KEY_BYTES, max_length=SESSION_KEY_BYTES)]
_Epoch = Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCH)]
_Sequence = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_CHARACTERS)]
_PageDigest = Annotated[bytes, msgspec.Meta(min_length=PAGE_DIGEST_BYTES, max_length=PAGE_DIGEST_BYTES)]
_Address = Annotated[str, msgspec.Meta(max_length=MAX_ADDRESS_CHARACTERS)]
_Sealed = Annotated[tuple[SealedBlock, ...], msgspec.Meta(max_length=MAX_BLOCKS)]


class Neighbour(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A peer, and what the link to it costs."""

    id: _AgentId
    rtt_step: Annotated[int, msgspec.Meta(ge=0, le=MAX_RTT_STEP)]
    """Quantised round trip: see :func:`mesh.rtt_steps.rtt_step`."""


class EndpointEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A service near the agent."""

    key: _Key
    target: _Address | None
    """For people; ``None`` where the agent hides it."""


class ListenerEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A local port for a service elsewhere."""

    key: _Key
    address: _Address
    """For people."""


class PageName(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A page of the agent's endpoints and listeners, as its record names it.

    The sizes are in the record, so what an agent makes others hold is judged before any page is asked for.
    """

    digest: _PageDigest
    """See :func:`.pages.page_digest`."""
    byte_count: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_BYTES)]
    entries: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_ENTRIES)]


class PageBody(msgspec.Struct, frozen=True, array_like=True):
    """What a page says."""

    endpoints: Annotated[tuple[EndpointEntry, ...], msgspec.Meta(max_length=MAX_PAGE_ENTRIES)] = ()
    listeners: Annotated[tuple[ListenerEntry, ...], msgspec.Meta(max_length=MAX_PAGE_ENTRIES)] = ()
    sealed: _Sealed = ()
    """Endpoints and listeners for some agents only; each block is one of the page's entries."""

    @property
    def entries(self) -> int:
        """How many it has."""
        return len(self.endpoints) + len(self.listeners) + len(self.sealed)


class Page(msgspec.Struct, frozen=True):
    """A page that its agent's record names; made by :func:`.pages.read_page`."""

    data: bytes
    body: PageBody
    offered_keys: tuple[str, ...]
    """As in :class:`Record`."""
    denied_keys: tuple[str, ...]


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """What an agent shows to some agents only: of one sealed block, or all that is shown to this agent."""

    endpoints: Annotated[tuple[EndpointEntry, ...], msgspec.Meta(max_length=MAX_PAGE_ENTRIES)] = ()
    listeners: Annotated[tuple[ListenerEntry, ...], msgspec.Meta(max_length=MAX_PAGE_ENTRIES)] = ()

    def __len__(self) -> int:
        """How many endpoints and listeners it has."""
        return len(self.endpoints) + len(self.listeners)


NOTHING_SHOWN: Final = Shown()


class RecordBody(msgspec.Struct, frozen=True, array_like=True):
    """What an agent signs."""

    public_key: _PublicKey
    """The agent's Ed25519 key; its ID follows from it."""
    epoch: _Epoch
    """Unix milliseconds at the start of the agent's process, or later."""
    sequence: _Sequence
    """Counts up within the epoch."""
    instance: _Instance
    session_key: _SessionKey
    """X25519 public key for connections that end at this agent."""
    certificate: Annotated[bytes, msgspec.Meta(max_length=MAX_CERTIFICATE_BYTES)]
    relays: bool
    """Others' connections may pass through."""
    draining: bool
    """Others are to be preferred: the agent is about to leave, or an operator wants it spared."""
    withdrawn: bool
    """The agent has left; the record only says so."""
    neighbours: Annotated[tuple[Neighbour, ...], msgspec.Meta(max_length=MAX_NEIGHBOURS)] = ()
    endpoints: Annotated[tuple[EndpointEntry, ...], msgspec.Meta(max_length=MAX_INLINE_ENTRIES)] = ()
    listeners: Annotated[tuple[ListenerEntry, ...], msgspec.Meta(max_length=MAX_INLINE_ENTRIES)] = ()
    pages: Annotated[tuple[PageName, ...], msgspec.Meta(max_length=MAX_PAGES)] = ()
    """More endpoints and listeners."""
    extensions: Extensions = ()
    """What this version does not know."""
    sealed: _Sealed = ()
    """Endpoints and listeners for some agents only."""

    @property
    def freshness(self) -> Freshness:
        """(epoch, sequence, instance)."""
        return self.epoch, self.sequence, self.instance


class Record(msgspec.Struct, frozen=True):
    """What an agent says of itself, verified; made by :func:`trusted_record`.

    Those that others sent come by way of ``record_reader.py``.
    """

    agent_id: AgentId
    body: RecordBody
    certificate: Certificate
    round_trips: Mapping[AgentId, int]
    """Peer to ``rtt_step``."""
    offered_keys: tuple[str, ...]
    """Keys of its endpoints that its certificate lets it register, each once."""
    denied_keys: tuple[str, ...]
    """Keys of its endpoints that its certificate does not let it register: nobody connects there."""
    pages: tuple[Page, ...] = ()
    """Those that its body names and that are here; see :func:`.pages.with_pages`."""
    shown: Shown = NOTHING_SHOWN
    """What of its sealed blocks is for this agent; see :func:`.pages.with_shown`."""

    @property
    def name(self) -> str:
        """The display name, as its authority certified it."""
        return self.certificate.name

    @property
    def freshness(self) -> Freshness:
        """(epoch, sequence, instance)."""
        return self.body.freshness

    @property
    def instance(self) -> Instance:
        """Which run of the agent's process speaks."""
        return self.body.instance

    @property
    def session_key(self) -> bytes:
        """X25519 public key, 32 bytes."""
        return self.body.session_key

    @property
    def endpoints(self) -> tuple[EndpointEntry, ...]:
        """All that it offers, rightly or not, as far as its pages are here and it is shown to this agent."""
        of_pages = chain.from_iterable(page.body.endpoints for page in self.pages)
        return (*self.body.endpoints, *of_pages, *self.shown.endpoints)

    @property
    def listeners(self) -> tuple[ListenerEntry, ...]:
        """All that it listens for, as far as its pages are here and it is shown to this agent."""
        of_pages = chain.from_iterable(page.body.listeners for page in self.pages)
        return (*self.body.listeners, *of_pages, *self.shown.listeners)

    @property
    def sealed(self) -> tuple[SealedBlock, ...]:
        """What it shows to some agents only, as far as its pages are here."""
        return (*self.body.sealed, *chain.from_iterable(page.body.sealed for page in self.pages))

    @property
    def carries_transit(self) -> bool:
        """Whether others' connections may pass through this agent now."""
        return self.body.relays and self.certificate.may_relay

    @property
    def draining(self) -> bool:
        """Whether others are to be preferred."""
        return self.body.draining

    @property
    def version(self) -> str | None:
        """Of its software; ``None`` if it does not tell."""
        return software_in(self.body.extensions)

    def says_the_same_as(self, other: "Record") -> bool:
        """Whether the two differ in freshness at most: a refresh changes no route."""
        ours, theirs = self.body, other.body
        return ours == msgspec.structs.replace(theirs, epoch=ours.epoch, sequence=ours.sequence)


def refused_of(records: Mapping[AgentId, Record], trust: TrustStore) -> Iterator[AgentId]:
    """The agents of ``records`` whose certificates ``trust`` refuses."""
    return (agent_id for agent_id, record in records.items() if trust.refusal(record.certificate))


def sign_record(identity: Identity, body: RecordBody) -> WireRecord:
    """``body`` signed, of age 0.

    Raises:
        LocalProtocolError: it is more than others accept (see :func:`.service_layout.fit_body`), or not
            ``identity``'s own.
    """
    if body.public_key != identity.public_key:
        raise LocalProtocolError("a record is signed by the agent that it describes")
    signed = _ENCODER.encode(body)
    try:
        # Others would take an unreadable record for an offence of whoever delivers it.
        decode_body(signed)
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"others would refuse this: {error}") from error
    return WireRecord(signed, identity.sign(RECORD_CONTEXT, signed), 0)


def decode_body(signed: bytes) -> RecordBody:
    """What the signed bytes of a record say; nothing is verified yet.

    Raises:
        RemoteProtocolError: they are too many, or no record.
    """
    if len(signed) > MAX_SIGNED_BYTES:
        raise RemoteProtocolError(f"a record of {len(signed)} bytes; at most {MAX_SIGNED_BYTES} are allowed")
    try:
        body = _DECODER.decode(signed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a record that cannot be read: {error}") from error
    if body.pages:
        _judge_pages(body.pages)
    if body.endpoints or body.listeners:
        judge_entries(body.endpoints, body.listeners)
    return body


def judge_entries(endpoints: tuple[EndpointEntry, ...], listeners: tuple[ListenerEntry, ...]) -> None:
    """Who repeats itself makes others work and show for nothing.

    Raises:
        RemoteProtocolError: a key is offered twice, or has too many listeners.
    """
    if len({entry.key for entry in endpoints}) != len(endpoints):
        raise RemoteProtocolError("a key is offered twice")
    if len(listeners) > MAX_LISTENERS_OF_A_KEY:
        key, count = Counter(entry.key for entry in listeners).most_common(1)[0]
        if count > MAX_LISTENERS_OF_A_KEY:
            raise RemoteProtocolError(
                f"{count} listeners of the key {key!r}; at most {MAX_LISTENERS_OF_A_KEY} are allowed"
            )


def _judge_pages(pages: tuple[PageName, ...]) -> None:
    byte_count = sum(page.byte_count for page in pages)
    entries = sum(page.entries for page in pages)
    if byte_count > MAX_SERVICE_BYTES or entries > MAX_ENTRIES:
        raise RemoteProtocolError(
            f"a record that names pages of {byte_count} bytes with {entries} entries; at most "
            f"{MAX_SERVICE_BYTES} bytes and {MAX_ENTRIES} entries are allowed"
        )
    if len({page.digest for page in pages}) != len(pages):
        raise RemoteProtocolError("a record that names a page twice")


def judge_keys(
    endpoints: Iterable[EndpointEntry], certificate: Certificate
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys that may be registered with ``certificate``, and those that may not, each once."""
    keys = dict.fromkeys(entry.key for entry in endpoints)
    allowed = {key: certificate.allows_register(key) for key in keys}
    return tuple(key for key in keys if allowed[key]), tuple(key for key in keys if not allowed[key])


def trusted_record(body: RecordBody, certificate: Certificate) -> Record:
    """The record of a body that is known to be true: verified, or the agent's own."""
    agent_id = agent_id_of(body.public_key)
    offered_keys, denied_keys = judge_keys(body.endpoints, certificate)
    return Record(
        agent_id=agent_id,
        body=body,
        certificate=certificate,
        round_trips=MappingProxyType(
            {neighbour.id: neighbour.rtt_step for neighbour in body.neighbours if neighbour.id != agent_id}
        ),
        offered_keys=offered_keys,
        denied_keys=denied_keys,
    )


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(RecordBody)
