"""How an agent's endpoints and listeners are laid out: in its record where they are few, else in pages.

Pages are cut by content: entries are sorted, and a page ends behind a key whose checksum says so, or when it
is full. So one more endpoint changes one page, or two beside each other; the others stay as they are and are
not sent again.

Source: content-defined chunking, Muthitacharoen et al., "A Low-bandwidth Network File System", SOSP 2001.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar
from zlib import crc32

import msgspec

from mesh.routing.pages import page_digest
from mesh.routing.records import (
    MAX_ADDRESS_CHARACTERS,
    MAX_ENDPOINTS,
    MAX_INLINE_ENTRIES,
    MAX_KEY_CHARACTERS,
    MAX_LISTENERS,
    MAX_LISTENERS_OF_A_KEY,
    MAX_NEIGHBOURS,
    MAX_PAGE_BYTES,
    MAX_PAGE_ENTRIES,
    MAX_PAGES,
    MAX_SERVICE_BYTES,
    EndpointEntry,
    ListenerEntry,
    PageBody,
    PageName,
    RecordBody,
)
from mesh.routing.sealed_blocks import MAX_BLOCKS, SealedBlock
from mesh.trust.identity import AgentId

INLINE_BYTES: Final = 8_000
"""Endpoints and listeners up to this are in the record itself, some 200 of them: one frame, no question."""

MIN_PAGE_BYTES: Final = 4_000
"""No page but the last is shorter: what names it in the record takes 22 bytes."""

CUT_EVERY: Final = 128
"""A page that is long enough ends behind one key of so many, by their CRC-32."""

_PAGE_HEAD_BYTES: Final = 8
"""What msgpack spends around a page's entries, at most: an array of three arrays."""

_ROOM_BYTES: Final = MAX_SERVICE_BYTES - MAX_PAGES * _PAGE_HEAD_BYTES
"""For the entries of all pages."""

assert MAX_SERVICE_BYTES // MIN_PAGE_BYTES + 1 + MAX_BLOCKS < MAX_PAGES  # noqa: S101

INLINE_SEALED_BYTES: Final = 4_000
"""Sealed blocks up to this are in the record itself: one for some 180 readers. If they are more, each has a
page, which is not sent again with every record."""

SHOWN_KEYS: Final = 3
"""Keys that a line for people names before it only counts."""

TOO_LONG: Final = f"keys have 1 to {MAX_KEY_CHARACTERS} characters"
TWICE: Final = "an agent offers a key once"
TOO_MANY_PORTS: Final = f"a key has at most {MAX_LISTENERS_OF_A_KEY} listeners"
TOO_LARGE: Final = f"all together take at most {MAX_SERVICE_BYTES:,} bytes"


class Omission(msgspec.Struct, frozen=True):
    """What cannot be offered, and why."""

    what: str
    """``endpoints`` or ``listeners``."""
    keys: tuple[str, ...]
    """In the order of the configuration."""
    limit: str
    """The limit that they are beyond."""

    def __str__(self) -> str:
        shown = ", ".join(map(repr, self.keys[:SHOWN_KEYS]))
        more = f" and {len(self.keys) - SHOWN_KEYS:,} more" if len(self.keys) > SHOWN_KEYS else ""
        what = self.what if len(self.keys) != 1 else self.what.removesuffix("s")
        return f"{len(self.keys):,} {what} not told to the mesh ({self.limit}): {shown}{more}"


class LaidPage(msgspec.Struct, frozen=True):
    """A page of this agent."""

    name: PageName
    data: bytes


class Layout(msgspec.Struct, frozen=True):
    """Where endpoints and listeners stand."""

    endpoints: tuple[EndpointEntry, ...] = ()
    """In the record itself."""
    listeners: tuple[ListenerEntry, ...] = ()
    sealed: tuple[SealedBlock, ...] = ()
    pages: tuple[LaidPage, ...] = ()
    omissions: tuple[Omission, ...] = ()


def lay_out(
    agent_id: AgentId,
    endpoints: Iterable[EndpointEntry],
    listeners: Iterable[ListenerEntry],
    sealed: tuple[SealedBlock, ...] = (),
) -> Layout:
    """Lay out what the agent ``agent_id`` offers and listens for; earlier entries go before later ones.

    Args:
        agent_id: whose it is.
        endpoints: for the whole mesh.
        listeners: as well.
        sealed: what is for some agents only.
    """
    sealed_bytes = sum(block.byte_count for block in sealed)
    has_sealed_pages = sealed_bytes > INLINE_SEALED_BYTES
    chooser = _Chooser(_ROOM_BYTES - sealed_bytes)
    own_room = chooser.room
    endpoints = chooser.choose(
        "endpoints", map(_fit_endpoint, endpoints), MAX_ENDPOINTS, of_a_key=1, beyond=TWICE
    )
    listeners = chooser.choose(
        "listeners",
        map(_fit_listener, listeners),
        MAX_LISTENERS,
        of_a_key=MAX_LISTENERS_OF_A_KEY,
        beyond=TOO_MANY_PORTS,
    )
    omissions = tuple(chooser.omissions)
    bodies = [PageBody(sealed=(block,)) for block in sealed] if has_sealed_pages else []
    is_small = own_room - chooser.room <= INLINE_BYTES
    is_inline = is_small and max(len(endpoints), len(listeners)) <= MAX_INLINE_ENTRIES
    if not is_inline:
        bodies += _cut(endpoints, listeners)
    pages = []
    for body in bodies:
        data = _ENCODER.encode(body)
        pages.append(LaidPage(PageName(page_digest(agent_id, data), len(data), body.entries), data))
    return Layout(
        tuple(endpoints) if is_inline else (),
        tuple(listeners) if is_inline else (),
        () if has_sealed_pages else sealed,
        tuple(pages),
        omissions,
    )


def fit_body(body: RecordBody, layout: Layout) -> RecordBody:
    """``body`` as others accept it, with its endpoints and listeners as ``layout`` has them."""
    return msgspec.structs.replace(
        body,
        neighbours=body.neighbours[:MAX_NEIGHBOURS],
        endpoints=layout.endpoints,
        listeners=layout.listeners,
        sealed=layout.sealed,
        pages=tuple(page.name for page in layout.pages),
    )


_Entry = TypeVar("_Entry", EndpointEntry, ListenerEntry)


class _Chooser:
    """Takes entries as long as there is room, and notes what there is none for.

    Args:
        room: bytes for the entries of all pages.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.omissions: list[Omission] = []

    def choose(
        self, what: str, entries: Iterable[_Entry], limit: int, *, of_a_key: int, beyond: str
    ) -> dict[_Entry, int]:
        """Each entry that can be offered, once, with its bytes; ``beyond`` says why no more of a key."""
        of_keys: Counter[str] = Counter()
        seen: set[_Entry] = set()
        chosen: dict[_Entry, int] = {}
        left_out: dict[str, list[str]] = {}
        for entry in entries:
            if entry in seen:
                continue
            seen.add(entry)
            byte_count = len(_ENCODER.encode(entry))
            if not 0 < len(entry.key) <= MAX_KEY_CHARACTERS:
                left_out.setdefault(TOO_LONG, []).append(entry.key[: MAX_KEY_CHARACTERS + 1])
            elif of_keys[entry.key] >= of_a_key:
                left_out.setdefault(beyond, []).append(entry.key)
            elif len(chosen) >= limit:
                left_out.setdefault(f"an agent has at most {limit:,}", []).append(entry.key)
            elif byte_count > self.room:
                left_out.setdefault(TOO_LARGE, []).append(entry.key)
            else:
                chosen[entry] = byte_count
                of_keys[entry.key] += 1
                self.room -= byte_count
        self.omissions += [Omission(what, tuple(keys), why) for why, keys in left_out.items()]
        return chosen


def _cut(endpoints: dict[EndpointEntry, int], listeners: dict[ListenerEntry, int]) -> Iterator[PageBody]:
    by_endpoint = sorted(endpoints, key=lambda entry: (entry.key, entry.target or ""))
    by_listener = sorted(listeners, key=lambda entry: (entry.key, entry.address))
    sizes = [endpoints[entry] for entry in by_endpoint] + [listeners[entry] for entry in by_listener]
    keys = [entry.key for entry in by_endpoint] + [entry.key for entry in by_listener]
    first_endpoints, first_listeners = iter(by_endpoint), iter(by_listener)
    start, byte_count = 0, _PAGE_HEAD_BYTES
    for number, (key, size) in enumerate(zip(keys, sizes, strict=True)):
        byte_count += size
        following = sizes[number + 1] if number + 1 < len(sizes) else MAX_PAGE_BYTES
        is_full = byte_count + following > MAX_PAGE_BYTES or number + 1 - start >= MAX_PAGE_ENTRIES
        is_long = byte_count - _PAGE_HEAD_BYTES >= MIN_PAGE_BYTES
        if is_full or (is_long and not crc32(key.encode()) % CUT_EVERY):
            taken = tuple(islice(first_endpoints, number + 1 - start))
            yield PageBody(taken, tuple(islice(first_listeners, number + 1 - start - len(taken))))
            start, byte_count = number + 1, _PAGE_HEAD_BYTES


def _fit_endpoint(entry: EndpointEntry) -> EndpointEntry:
    if entry.target is None or len(entry.target) <= MAX_ADDRESS_CHARACTERS:
        return entry
    return EndpointEntry(entry.key, None)


def _fit_listener(entry: ListenerEntry) -> ListenerEntry:
    return ListenerEntry(entry.key, entry.address[:MAX_ADDRESS_CHARACTERS])


_ENCODER: Final = msgspec.msgpack.Encoder()
