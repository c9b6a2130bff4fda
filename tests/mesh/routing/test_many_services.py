"""Agents with thousands of endpoints and listeners: route tables that exchange frames, in virtual time."""

import math
from collections import deque

from mesh.alarms import AlarmKind
from mesh.config.schema import RoutingSection
from mesh.link.bodies import (
    WantedPages,
    WirePage,
    decode_digest,
    decode_pages,
    decode_records,
    decode_want_pages,
    decode_want_revocations,
)
from mesh.link.frames import FrameType
from mesh.routing.effects import Effects
from mesh.routing.notices import Notice
from mesh.routing.page_table import ASK_AGAIN_S
from mesh.routing.pairings import find_pairings
from mesh.routing.records import MAX_ENDPOINTS, EndpointEntry, ListenerEntry, Neighbour
from mesh.routing.route_computation import COMPUTE_INTERVAL_PER_KEY_S, COMPUTE_INTERVAL_PER_SUBSCRIBER_S
from mesh.routing.routes import RouteSnapshot
from mesh.routing.service_layout import Layout, lay_out
from mesh.trust.identity import AgentId
from tests.mesh.routing.route_table_company import (
    ALICE,
    IDENTITIES,
    OWN,
    RTT_S,
    UNIX,
    certificate_of,
    hear,
    linked,
    records_in,
    table,
    wire_of,
)

HUB, LAPTOP, OFFICE = 0, 1, 2
LINK_S = 0.005


def endpoints(count: int, first: int = 0) -> tuple[EndpointEntry, ...]:
    return tuple(EndpointEntry(f"service-{n:05}", f"10.0.0.1:{n}") for n in range(first, count))


def listeners(count: int) -> tuple[ListenerEntry, ...]:
    return tuple(ListenerEntry(f"service-{n:05}", f"127.0.0.1:{n}") for n in range(count))


def lay_out_of(count: int) -> Layout:
    """How the agent ``ALICE`` lays out so many endpoints."""
    return lay_out(ALICE, endpoints(count), ())


class Chain:
    """Hub, laptop, office, each linked to the one before; a frame takes ``LINK_S`` to the other end."""

    def __init__(self, agents: int = 3) -> None:
        self.now = 0.0
        self.tables = [table(IDENTITIES[number]) for number in range(agents)]
        self.on_the_way: deque[tuple[float, int, AgentId, FrameType, bytes]] = deque()
        self.sent: list[tuple[int, FrameType, bytes]] = []
        self.lose_pages = False
        self.notices: list[Notice] = []

    def act(self, number: int, method: str, *arguments: object) -> Effects:
        effects: Effects = getattr(self.tables[number], method)(*arguments, self.now, UNIX + self.now)
        assert effects.closes == []
        self.notices += effects.notices
        for send in effects.sends:
            for peer_id in send.peers:
                self.sent.append((number, send.frame_type, send.body))
                if send.frame_type is not FrameType.PAGES or not self.lose_pages:
                    to = next(n for n, identity in enumerate(IDENTITIES) if identity.id == peer_id)
                    arrival = (self.now + LINK_S, to, IDENTITIES[number].id, send.frame_type, send.body)
                    self.on_the_way.append(arrival)
        return effects

    def connect(self, one: int, other: int) -> None:
        for here, there in ((one, other), (other, one)):
            instance = self.tables[there].snapshot.records[IDENTITIES[there].id].instance
            self.act(here, "link_up", IDENTITIES[there].id, instance, RTT_S)

    def cut(self, one: int, other: int) -> None:
        self.act(one, "link_down", IDENTITIES[other].id)
        self.act(other, "link_down", IDENTITIES[one].id)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            arrival = self.on_the_way[0][0] if self.on_the_way else math.inf
            due, number = min((state.deadline(), number) for number, state in enumerate(self.tables))
            if min(arrival, due) > until:
                self.now = until
                return
            self.now = max(self.now, min(arrival, due))
            if due < arrival:
                self.act(number, "tick")
            else:
                self.deliver(*self.on_the_way.popleft()[1:])

    def deliver(self, number: int, peer_id: AgentId, frame_type: FrameType, body: bytes) -> None:
        match frame_type:
            case FrameType.DIGEST:
                self.act(number, "digest_arrived", peer_id, decode_digest(body))
            case FrameType.WANT_PAGES:
                self.act(number, "pages_wanted", peer_id, decode_want_pages(body))
            case FrameType.PAGES:
                self.act(number, "pages_arrived", peer_id, decode_pages(body))
            case FrameType.WANT_REVOCATIONS:
                self.act(number, "revocations_wanted", peer_id, decode_want_revocations(body))
            case _:
                self.act(number, "take_records", peer_id, decode_records(body), 1_000)

    def pages_sent(self, number: int) -> int:
        bodies = [body for sender, kind, body in self.sent if (sender, kind) == (number, FrameType.PAGES)]
        return sum(len(decode_pages(body)) for body in bodies)

    def snapshot(self, number: int) -> RouteSnapshot:
        return self.tables[number].snapshot


def chain() -> Chain:
    made = Chain()
    for number in range(3):
        made.act(number, "tick")
    made.connect(HUB, LAPTOP)
    made.connect(LAPTOP, OFFICE)
    made.run(1.0)
    return made


def test_ten_thousand_endpoints_are_reached_over_two_links_each_page_carried_once():
    mesh = chain()
    mesh.act(HUB, "set_endpoints", endpoints(MAX_ENDPOINTS))
    mesh.act(OFFICE, "set_listeners", listeners(1_000))
    mesh.run(ASK_AGAIN_S - 0.1)
    hub, office = IDENTITIES[HUB].id, mesh.snapshot(OFFICE)
    assert len(office.candidates) == MAX_ENDPOINTS
    assert [(each.agent_id, each.hop_count) for each in office.candidates["service-09999"]] == [(hub, 2)]
    pages = len(office.records[hub].body.pages)
    assert [mesh.pages_sent(number) for number in (HUB, LAPTOP)] == [
        pages,
        pages + len(office.records[IDENTITIES[OFFICE].id].body.pages),
    ]
    assert mesh.tables[OFFICE].counts().pages_missing == 0
    pairings = [find_pairings(s.own_id, s.records, s.paths_from_each) for s in map(mesh.snapshot, range(3))]
    assert pairings[0] == pairings[1] == pairings[2]
    assert len(pairings[0].matched) == 1_000
    assert len(pairings[0].unmatched_endpoints) == 9_000
    assert mesh.notices == []


def test_a_refresh_sends_no_page_and_a_change_sends_one():
    mesh = chain()
    mesh.act(HUB, "set_endpoints", endpoints(2_000))
    mesh.run(2.0)
    sent = mesh.pages_sent(HUB)
    mesh.run(2 * RoutingSection().advertise_interval_s)
    assert mesh.tables[OFFICE].counts().records_stored_total > 4
    assert mesh.pages_sent(HUB) == sent
    mesh.act(HUB, "set_endpoints", (*endpoints(1_999), EndpointEntry("service-01999", "elsewhere:1")))
    mesh.run(0.1)
    assert mesh.pages_sent(HUB) == sent + 1
    [target] = [e.target for e in mesh.snapshot(OFFICE).records[IDENTITIES[HUB].id].endpoints[-1:]]
    assert target == "elsewhere:1"


def test_lost_pages_come_in_the_end_and_nothing_else_waits_for_them():
    mesh = chain()
    mesh.lose_pages = True
    mesh.act(HUB, "set_endpoints", endpoints(2_000))
    mesh.run(1.0)
    hub, office = IDENTITIES[HUB].id, mesh.snapshot(OFFICE)
    assert office.candidates == {}
    assert office.hop_counts[hub] == 2
    assert mesh.tables[OFFICE].counts().pages_missing > 0
    mesh.lose_pages = False
    mesh.run(5 * ASK_AGAIN_S)
    assert len(mesh.snapshot(OFFICE).candidates) == 2_000


def test_a_new_link_brings_pages_that_are_missing_although_the_record_is_known():
    mesh = chain()
    mesh.lose_pages = True
    mesh.act(HUB, "set_endpoints", endpoints(2_000))
    mesh.run(30.0)
    mesh.cut(LAPTOP, OFFICE)
    mesh.run(0.5)
    mesh.lose_pages = False
    mesh.cut(HUB, LAPTOP)
    mesh.connect(HUB, OFFICE)
    mesh.run(1.0)
    assert len(mesh.snapshot(OFFICE).candidates) == 2_000


def test_a_newcomer_learns_of_many_endpoints():
    mesh = Chain(3)
    for number in range(3):
        mesh.act(number, "tick")
    mesh.connect(HUB, LAPTOP)
    mesh.act(HUB, "set_endpoints", endpoints(5_000))
    mesh.run(10.0)
    mesh.connect(LAPTOP, OFFICE)
    mesh.run(1.0)
    assert len(mesh.snapshot(OFFICE).candidates) == 5_000


def test_few_endpoints_cost_no_frame_beside_the_record():
    mesh = chain()
    mesh.act(HUB, "set_endpoints", endpoints(100))
    mesh.run(1.0)
    assert len(mesh.snapshot(OFFICE).candidates) == 100
    assert {kind for _, kind, _ in mesh.sent} == {
        FrameType.WANT_REVOCATIONS,
        FrameType.DIGEST,
        FrameType.RECORDS,
    }


def test_an_agent_that_expires_or_leaves_takes_its_pages_with_it():
    mesh = chain()
    mesh.act(HUB, "set_endpoints", endpoints(2_000))
    mesh.run(2.0)
    mesh.act(HUB, "withdraw")
    mesh.run(1.0)
    assert mesh.snapshot(OFFICE).candidates == {}
    wanted = (WantedPages(IDENTITIES[HUB].id, (b"d" * 16,)),)
    assert mesh.act(LAPTOP, "pages_wanted", IDENTITIES[OFFICE].id, wanted).sends == []


def test_what_cannot_be_told_is_a_problem_and_is_said_once():
    mesh = chain()
    mesh.act(HUB, "set_endpoints", endpoints(MAX_ENDPOINTS + 2))
    mesh.run(1.0)
    [problem] = mesh.tables[HUB].problems(0.0)
    assert problem.startswith(
        "2 endpoints not told to the mesh (an agent has at most 10,000): 'service-10000'"
    )
    assert [(notice.kind, notice.line) for notice in mesh.notices] == [(AlarmKind.OWN, problem)]
    mesh.act(HUB, "set_endpoints", endpoints(MAX_ENDPOINTS))
    assert mesh.tables[HUB].problems(0.0) == ()


def test_the_pause_between_computations_grows_with_the_keys():
    state = linked()
    state.set_endpoints(endpoints(2_000), 0.0, UNIX)
    for _ in range(10):
        state.tick(0.5, UNIX)
    assert len(state.snapshot.candidates) == 2_000
    before = state.counts().routes_computed_total
    for number in range(100):
        state.set_endpoints(endpoints(2_000, first=number % 2), 1.0 + number / 1_000, UNIX)
        state.tick(1.0 + number / 1_000, UNIX)
    pause_s = COMPUTE_INTERVAL_PER_KEY_S * 2_000
    assert state.counts().routes_computed_total - before <= 0.1 / pause_s + 1


def test_the_pause_between_computations_grows_with_those_that_are_told():
    state = linked()
    state.tick(0.5, UNIX)
    state.told_to(1_000)
    before = state.counts().routes_computed_total
    for number in range(100):
        state.set_endpoints(endpoints(1, first=number % 2), 1.0 + number / 1_000, UNIX)
        state.tick(1.0 + number / 1_000, UNIX)
    pause_s = COMPUTE_INTERVAL_PER_SUBSCRIBER_S * 1_000
    assert 2 <= state.counts().routes_computed_total - before <= 0.1 / pause_s + 1


def test_keys_on_pages_need_a_certificate_too():
    certificate = certificate_of(IDENTITIES[1], may_register=["service-01*"])
    state = linked(ALICE)
    layout = lay_out_of(2_000)
    names = tuple(page.name for page in layout.pages)
    back = (Neighbour(OWN.id, 0),)
    wire = wire_of(IDENTITIES[1], certificate=certificate, neighbours=back, pages=names)
    effects = hear(state, ALICE, (wire,), 0.0, UNIX)
    assert FrameType.WANT_PAGES in {send.frame_type for send in effects.sends}
    pages = tuple(WirePage(ALICE, page.data) for page in layout.pages)
    notices = state.pages_arrived(ALICE, pages, 1.0, UNIX).notices
    assert 0 < len(notices) < 100
    state.tick(2.0, UNIX)
    assert set(state.snapshot.candidates) == {f"service-{n:05}" for n in range(1_000, 2_000)}


def test_a_page_that_is_not_what_its_record_says_is_told_once_and_costs_nobody_a_link():
    state = linked(ALICE)
    layout = lay_out_of(2_000)
    names = tuple(page.name for page in layout.pages)
    lying = (type(names[0])(names[0].digest, names[0].byte_count, names[0].entries + 1), *names[1:])
    hear(state, ALICE, (wire_of(IDENTITIES[1], pages=lying),), 0.0, UNIX)
    page = WirePage(ALICE, layout.pages[0].data)
    effects = state.pages_arrived(ALICE, (page,), 0.1, UNIX)
    assert effects.closes == []
    (notice,) = effects.notices
    assert "its record says" in notice.line
    assert notice.kind is AlarmKind.TAMPERING
    hear(state, ALICE, (wire_of(IDENTITIES[1], sequence=1, pages=lying),), 0.2, UNIX)
    assert state.pages_arrived(ALICE, (page,), 0.3, UNIX).notices == []
    assert state.counts().pages_taken_total == 0


def test_pages_of_a_peer_whose_link_is_gone_are_not_looked_at():
    state = linked(ALICE)
    layout = lay_out_of(2_000)
    hear(state, ALICE, (wire_of(IDENTITIES[1], pages=tuple(p.name for p in layout.pages)),), 0.0, UNIX)
    state.link_down(ALICE, 0.1, UNIX)
    state.pages_arrived(ALICE, (WirePage(ALICE, layout.pages[0].data),), 0.2, UNIX)
    assert state.counts().pages_taken_total == 0


def test_a_withdrawn_record_names_no_page():
    state = linked(ALICE)
    state.set_endpoints(endpoints(2_000), 0.0, UNIX)
    [(_, [body])] = records_in(state.withdraw(1.0, UNIX))
    assert (body.withdrawn, body.pages, body.endpoints) == (True, (), ())
