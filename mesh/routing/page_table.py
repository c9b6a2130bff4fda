"""The pages of agents with many endpoints: which are here, which are missing, and whom to ask for those.

A page is asked for, never sent unasked, and only what the current record of its agent names is kept: a peer
that sends anything else has spent a frame. Anyone who is asked for a page that is missing there as well sends
it once it has come. What does not come is asked for again, of another peer, less and less often. All of this
is counted for each agent by itself, so that one whose pages nobody has holds up no other.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, NamedTuple

from mesh.errors import RemoteProtocolError
from mesh.link.bodies import MAX_WANTED_AGENTS, MAX_WANTED_PAGES, WantedPages, WirePage
from mesh.remembered import Remembered
from mesh.routing.pages import page_digest, read_page, with_pages
from mesh.routing.records import Page, PageName, Record
from mesh.routing.service_layout import LaidPage
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId

PAGES_UNDER_WAY: Final = 4
"""Pages of one agent that are asked for at a time: a link need not queue megabytes, and pings behind them."""
assert PAGES_UNDER_WAY <= MAX_WANTED_PAGES  # noqa: S101

ASK_AGAIN_S: Final = 2.0
"""After so long without it another peer is asked for a page; twice as long for each time before."""

MAX_ASK_AGAIN_S: Final = 30.0
"""A page that nobody has costs a question in this time."""

MIN_PAGE_CHARGE: Final = 4_000
"""What a page counts in its agent's allowance at the least: asking for it costs as well."""

PAGE_WAIT_S: Final = 0.25
"""Until the pages of an agent whose allowance is used up are asked for again."""

SET_ASIDE_S: Final = 30.0
"""How long the pages of an agent are kept whose record has expired. A peer that raises the age of a record
makes it expire; an honest copy comes soon, and nobody is to carry up to ``MAX_SERVICE_BYTES`` again for
that."""

GIVEN_RATE: Final = 128.0
GIVEN_BURST: Final = 256.0
"""Pages that one peer is given a second, and at once: at most 4 MiB a second, if it asks without end."""


class Taken(NamedTuple):
    """A page that is kept."""

    record: Record
    """That names it."""
    page: Page
    wished_by: tuple[AgentId, ...]
    """Peers to send it to: they asked for it when it was not here."""


class Untrue(NamedTuple):
    """A page that is not what its agent's record says; it is not kept."""

    record: Record
    why: str


@dataclass(slots=True)
class _Missing:
    name: PageName
    asked: int = 0
    """How often."""
    asked_of: AgentId | None = None
    under_way_until: float = -math.inf
    ask_at: float = -math.inf
    wishes: dict[AgentId, None] = field(default_factory=dict)
    """Peers that asked for it meanwhile."""


@dataclass(slots=True)
class _Shelf:
    """The pages of one agent, in the order of its record."""

    record: Record
    """Without its pages."""
    source: AgentId | None
    """The peer that passed on the record: the first to be asked."""
    held: dict[bytes, Page] = field(default_factory=dict)
    missing: dict[bytes, _Missing] = field(default_factory=dict)
    ask_at: float = math.inf
    """When to look for what is to be asked for."""
    whole: Record | None = None
    """The record with the pages that are here; made when it is asked for."""

    def complete(self) -> Record:
        if self.whole is None:
            pages = (self.held.get(name.digest) for name in self.record.body.pages)
            self.whole = with_pages(self.record, (page for page in pages if page is not None))
        return self.whole


class PageTable:
    """All pages that this agent holds or lacks; ``now`` is monotonic seconds.

    Args:
        allowance: how many more bytes of an agent's records and pages are taken now. It pays for a page when
            that comes, so that nobody who withholds one uses it up.
    """

    def __init__(self, allowance: Callable[[AgentId], TokenBucket]) -> None:
        self._allowance = allowance
        self._shelves: dict[AgentId, _Shelf] = {}
        self._aside: dict[AgentId, tuple[_Shelf, float]] = {}
        """Of agents whose record has expired, the longest ago first: a shelf, and until when it is kept."""
        self._peers: dict[AgentId, None] = {}
        """Linked peers."""
        self._given: Remembered[AgentId, TokenBucket] = Remembered(
            lambda: TokenBucket(GIVEN_RATE, GIVEN_BURST)
        )
        """By peer: how many more pages it is given now. A new link begins no new burst."""
        self._due: list[tuple[float, AgentId]] = []
        """A heap: when to look at whose shelf. One that is not of the shelf's ``ask_at`` says nothing."""
        self.taken = 0
        self.unnamed = 0
        """Pages that came although no record names them, or that are here already."""

    @property
    def missing(self) -> int:
        """Pages that records name and that are not here."""
        return sum(len(shelf.missing) for shelf in self._shelves.values())

    # -- records ---------------------------------------------------------------------------------------------

    def name(self, record: Record, source: AgentId | None) -> None:
        """``record`` is its agent's newest, of ``source``: keep what it names, want what is missing."""
        names = record.body.pages
        before = self._shelves.get(record.agent_id)
        if before is None and record.agent_id in self._aside:
            before, _ = self._aside.pop(record.agent_id)
        if before is None and not names:
            return
        shelf = _Shelf(record, source)
        if before is not None:
            certified = before.record.certificate == record.certificate
            for name in names:
                page = before.held.get(name.digest)
                if page is not None and _fits(page, name):
                    shelf.held[name.digest] = page if certified else read_page(page.data, record.certificate)
        for name in names:
            if name.digest not in shelf.held:
                known = None if before is None else before.missing.get(name.digest)
                if known is None or known.name != name:
                    known = _Missing(name)
                shelf.missing[name.digest] = known
        self._shelves[record.agent_id] = shelf
        if shelf.missing:
            self._look_at(shelf, -math.inf)

    def put_own(self, record: Record, pages: Sequence[LaidPage]) -> Record:
        """``record`` is this agent's own, and these are its pages; the record with them."""
        if not pages:
            self._shelves.pop(record.agent_id, None)
            return record
        before = self._shelves.get(record.agent_id)
        shelf = _Shelf(record, None)
        for page in pages:
            is_certified = before is not None and before.record.certificate == record.certificate
            held = before.held.get(page.name.digest) if before is not None and is_certified else None
            shelf.held[page.name.digest] = held or read_page(page.data, record.certificate)
        self._shelves[record.agent_id] = shelf
        return shelf.complete()

    def set_aside(self, agent_id: AgentId, now: float) -> None:
        """The record of ``agent_id`` has expired; if somebody only said so, its pages need not come again."""
        shelf = self._shelves.pop(agent_id, None)
        if shelf is not None:
            self._aside[agent_id] = shelf, now + SET_ASIDE_S

    def complete(self, records: dict[AgentId, Record]) -> None:
        """Put the pages that are here into ``records``, which are the newest of their agents."""
        for agent_id, shelf in self._shelves.items():
            if agent_id in records:
                records[agent_id] = shelf.complete()

    # -- peers -----------------------------------------------------------------------------------------------

    def peer_up(self, peer_id: AgentId) -> None:
        """There is a link to ``peer_id``: ask it for what others did not give."""
        self._peers[peer_id] = None
        for shelf in self._shelves.values():
            for missing in shelf.missing.values():
                shelf.source = peer_id
                missing.asked, missing.ask_at = 0, missing.under_way_until
                self._look_at(shelf, -math.inf)

    def peer_down(self, peer_id: AgentId) -> None:
        """The link to ``peer_id`` is gone: ask others for what it was asked for."""
        self._peers.pop(peer_id, None)
        for shelf in self._shelves.values():
            for missing in shelf.missing.values():
                missing.wishes.pop(peer_id, None)
                if missing.asked_of == peer_id:
                    missing.ask_at = missing.under_way_until = -math.inf
                    self._look_at(shelf, -math.inf)

    # -- asking ----------------------------------------------------------------------------------------------

    def _look_at(self, shelf: _Shelf, at: float) -> None:
        """Look for what is to be asked for at ``at``, unless that is done before."""
        if at < shelf.ask_at:
            shelf.ask_at = at
            heappush(self._due, (at, shelf.record.agent_id))

    def deadline(self) -> float:
        """When to call :meth:`ask`; infinite while nothing is missing, or nobody could be asked."""
        return self._due[0][0] if self._due and self._peers else math.inf

    def ask(self, now: float) -> list[tuple[AgentId, tuple[WantedPages, ...]]]:
        """Whom to ask for what now, in bodies of WANT_PAGES."""
        while self._aside and (oldest := next(iter(self._aside.items())))[1][1] <= now:
            del self._aside[oldest[0]]
        wanted: dict[AgentId, list[WantedPages]] = {}
        while self.deadline() <= now:
            at, agent_id = heappop(self._due)
            shelf = self._shelves.get(agent_id)
            if shelf is None or shelf.ask_at != at:
                continue
            shelf.ask_at = math.inf
            for peer_id, digests in self._ask_for(shelf, now).items():
                wanted.setdefault(peer_id, []).append(WantedPages(agent_id, tuple(digests)))
        return [
            (peer_id, tuple(wants[start : start + MAX_WANTED_AGENTS]))
            for peer_id, wants in wanted.items()
            for start in range(0, len(wants), MAX_WANTED_AGENTS)
        ]

    def _ask_for(self, shelf: _Shelf, now: float) -> dict[AgentId, list[bytes]]:
        wanted: dict[AgentId, list[bytes]] = {}
        under_way = 0
        next_at = math.inf
        allowance = self._allowance(shelf.record.agent_id)
        for digest, missing in shelf.missing.items():
            if under_way >= PAGES_UNDER_WAY:
                break
            if now >= missing.under_way_until and now >= missing.ask_at:
                if not allowance.has(now, _charge(missing.name)):
                    next_at = min(next_at, now + PAGE_WAIT_S)
                    break
                missing.asked_of = self._whom_to_ask(shelf, missing.asked)
                missing.under_way_until = now + ASK_AGAIN_S
                missing.ask_at = now + min(ASK_AGAIN_S * 2.0 ** min(missing.asked, 16), MAX_ASK_AGAIN_S)
                missing.asked += 1
                wanted.setdefault(missing.asked_of, []).append(digest)
            is_under_way = now < missing.under_way_until
            under_way += is_under_way
            # Once it is late the next in line takes its place, even where it is asked for again much later.
            next_at = min(next_at, missing.under_way_until if is_under_way else missing.ask_at)
        self._look_at(shelf, next_at)
        return wanted

    def _whom_to_ask(self, shelf: _Shelf, asked: int) -> AgentId:
        peers = list(self._peers)
        if shelf.source in self._peers:
            peers.sort(key=lambda peer_id: peer_id != shelf.source)
        return peers[asked % len(peers)]

    # -- answering -------------------------------------------------------------------------------------------

    def give(self, peer_id: AgentId, wanted: Sequence[WantedPages], now: float) -> list[WirePage]:
        """What to send to ``peer_id``, who wants these; it gets what is missing here once it comes."""
        given: dict[tuple[AgentId, bytes], WirePage] = {}
        if peer_id not in self._peers:
            return []
        for wants in wanted:
            shelf = self._shelves.get(wants.agent_id)
            if shelf is None:
                continue
            for digest in wants.digests:
                page, missing = shelf.held.get(digest), shelf.missing.get(digest)
                if page is not None and (wants.agent_id, digest) not in given:
                    if not self._may_have(peer_id, now):
                        return list(given.values())
                    given[wants.agent_id, digest] = WirePage(wants.agent_id, page.data)
                elif missing is not None:
                    missing.wishes[peer_id] = None
        return list(given.values())

    def take(self, wire: WirePage, now: float) -> Taken | Untrue | None:
        """Keep a page that a record names.

        One that is not what the record says is asked for no more, and nobody is blamed but the agent whose
        record it is: whoever passed it on may hold another record of that agent, which describes it rightly.
        """
        shelf = self._shelves.get(wire.agent_id)
        digest = b"" if shelf is None or not shelf.missing else page_digest(wire.agent_id, wire.data)
        if shelf is None or digest not in shelf.missing:
            self.unnamed += 1
            return None
        missing = shelf.missing.pop(digest)
        self._allowance(wire.agent_id).spend(now, _charge(missing.name))
        if shelf.missing:
            self._look_at(shelf, -math.inf)
        try:
            page = read_page(wire.data, shelf.record.certificate)
        except RemoteProtocolError as error:
            self.unnamed += 1
            return Untrue(shelf.record, str(error))
        if not _fits(page, missing.name):
            self.unnamed += 1
            return Untrue(
                shelf.record,
                f"a page of {len(page.data)} bytes with {page.body.entries} entries; "
                f"its record says {missing.name.byte_count} and {missing.name.entries}",
            )
        shelf.held[digest] = page
        shelf.whole = None
        self.taken += 1
        wished_by = tuple(peer_id for peer_id in missing.wishes if self._may_have(peer_id, now))
        return Taken(shelf.record, page, wished_by)

    def _may_have(self, peer_id: AgentId, now: float) -> bool:
        return peer_id in self._peers and self._given.of(peer_id, now).take(now)


def _charge(name: PageName) -> int:
    return max(name.byte_count, MIN_PAGE_CHARGE)


def _fits(page: Page, name: PageName) -> bool:
    """Whether a page is of the size that a record says.

    A later record may name the same page with another size: it is kept for what it is named as now, not for
    what it was named as when it came.
    """
    return (len(page.data), page.body.entries) == (name.byte_count, name.entries)
