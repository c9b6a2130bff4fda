"""Many route tables together: whatever befalls their links, all of them come to know what holds."""

import math
from collections import deque

from hypothesis import example, given
from hypothesis import strategies as st

from mesh.alarms import AlarmBook
from mesh.config.schema import RoutingSection
from mesh.link.bodies import decode_digest, decode_records, decode_want_revocations
from mesh.link.frames import FrameType
from mesh.routing.origination import QUIET_S, OwnAgent
from mesh.routing.record_reader import RecordReader
from mesh.routing.records import EndpointEntry
from mesh.routing.route_computation import MIN_COMPUTE_INTERVAL_S
from mesh.routing.router import RouteTableState
from mesh.routing.work_steps import STEP_VERIFIED
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.identity import Identity, Instance, verify_signature
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from tests.examples import examples

UNIX = 1_700_000_000.0
AUTHORITY = Identity(bytes(32))
IDENTITIES = [Identity(bytes((number,)) * 32) for number in range(1, 8)]
RTT_S = 0.001
LONGEST_ON_A_LINK_S = 5.0
"""The time on a link is not in a record's age, so none may stay there as long as records live."""

_good: set[tuple[bytes, ...]] = set()


def remembering_check(*arguments: bytes) -> None:
    if arguments not in _good:
        verify_signature(*arguments)
        _good.add(arguments)


def table(identity: Identity, unix_now: float, instance: Instance) -> RouteTableState:
    certificate = issue_certificate(
        AUTHORITY,
        subject=identity.public_key,
        name="agent",
        not_before=0,
        not_after=2 * int(UNIX),
        may_register=["*"],
        may_relay=True,
    )
    return RouteTableState(
        identity,
        OwnAgent(certificate, session_key=b"s" * 32, instance=instance, relays=True),
        read_certificate(certificate),
        TrustStore([AUTHORITY.public_key]),
        shared=SharedSecrets(key_pair(b"s" * 32)),
        unix_now=unix_now,
        reader=RecordReader(remembering_check),
        settings=RoutingSection(),
        alarms=AlarmBook(),
    )


class Mesh:
    """Tables joined by lossless links in virtual time; a link that goes down loses what is on its way."""

    def __init__(self, size: int) -> None:
        self.now = 0.0
        self.started = 0
        self.instances: dict[int, Instance] = {}
        self.links: dict[tuple[int, int], deque[tuple[FrameType, bytes]]] = {}
        self.numbers = {identity.id: number for number, identity in enumerate(IDENTITIES[:size])}
        self.tables: dict[int, RouteTableState | None] = {}
        self.stated: dict[int, tuple[EndpointEntry, ...]] = {}
        for number in range(size):
            self.start(number, UNIX)

    @property
    def unix_now(self) -> float:
        return UNIX + self.now

    def start(self, number: int, clock: float) -> None:
        self.started += 1
        self.instances[number] = Instance(self.started.to_bytes(16, "big"))
        self.tables[number] = table(IDENTITIES[number], clock, self.instances[number])
        self.stated[number] = ()
        self.act(number, "tick")

    def act(self, number: int, method: str, *arguments: object) -> int:
        """Do what is to be done, and send what follows; how many records are left to be taken."""
        state = self.tables[number]
        if state is None:
            return 0
        effects = getattr(state, method)(*arguments, self.now, self.unix_now)
        assert effects.closes == []
        assert all("its clock was set back, or" in notice.line for notice in effects.notices)
        for send in effects.sends:
            for peer_id in send.peers:
                self.links[number, self.numbers[peer_id]].append((send.frame_type, send.body))
        return effects.rest

    def connect(self, one: int, other: int) -> None:
        if one == other or (one, other) in self.links or None in (self.tables[one], self.tables[other]):
            return
        self.links[one, other] = deque()
        self.links[other, one] = deque()
        self.act(one, "link_up", IDENTITIES[other].id, self.instances[other], RTT_S)
        self.act(other, "link_up", IDENTITIES[one].id, self.instances[one], RTT_S)

    def cut(self, one: int, other: int) -> None:
        if (one, other) in self.links:
            del self.links[one, other], self.links[other, one]
            self.act(one, "link_down", IDENTITIES[other].id)
            self.act(other, "link_down", IDENTITIES[one].id)

    def crash(self, number: int) -> None:
        self.tables[number] = None
        for one, other in list(self.links):
            if one == number:
                self.cut(number, other)

    def restart(self, number: int, clock_error_s: float) -> None:
        self.crash(number)
        self.start(number, max(0.0, self.unix_now + clock_error_s))

    def state_endpoints(self, number: int, keys: list[str]) -> None:
        if self.tables[number] is not None:
            self.stated[number] = tuple(EndpointEntry(key, None) for key in keys)
            self.act(number, "set_endpoints", self.stated[number])

    def deliver(self, choice: int) -> bool:
        waiting = sorted(ends for ends, frames in self.links.items() if frames)
        if not waiting:
            return False
        sender, receiver = waiting[choice % len(waiting)]
        frame_type, body = self.links[sender, receiver].popleft()
        peer_id = IDENTITIES[sender].id
        if frame_type is FrameType.WANT_REVOCATIONS:
            self.act(receiver, "revocations_wanted", IDENTITIES[sender].id, decode_want_revocations(body))
        elif frame_type is FrameType.DIGEST:
            self.act(receiver, "digest_arrived", peer_id, decode_digest(body))
        else:
            rest = decode_records(body)
            while rest:
                left = self.act(receiver, "take_records", peer_id, rest, STEP_VERIFIED)
                rest = rest[len(rest) - left :]
        return True

    def pass_time(self, seconds: float) -> None:
        """Fire what falls due; deliver only where it takes so long that links would be dead."""
        until = self.now + seconds
        while True:
            while seconds > LONGEST_ON_A_LINK_S and self.deliver(0):
                pass
            due, number = min(
                ((state.deadline(), number) for number, state in self.tables.items() if state is not None),
                default=(math.inf, 0),
            )
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            self.act(number, "tick")

    def settle(self, seconds: float) -> None:
        until = self.now + seconds
        deliveries = 0
        while self.now < until:
            while self.deliver(0):
                deliveries += 1
                assert deliveries < 20_000, "a record circles"
            self.pass_time(0.05)

    def component(self, number: int) -> set[int]:
        found, frontier = {number}, [number]
        while frontier:
            here = frontier.pop()
            for one, other in self.links:
                if one == here and other not in found:
                    found.add(other)
                    frontier.append(other)
        return found

    def check(self) -> None:
        """Everybody agrees on everybody it is connected with, and what it believes is what holds."""
        for number, state in self.tables.items():
            if state is None:
                continue
            reached = self.component(number)
            snapshot = state.snapshot
            assert set(snapshot.hop_counts) == {IDENTITIES[member].id for member in reached}
            for member in reached:
                other = self.tables[member]
                assert other is not None
                believed = snapshot.records[IDENTITIES[member].id]
                assert believed.says_the_same_as(other.snapshot.records[IDENTITIES[member].id])
                assert believed.endpoints == self.stated[member]
                assert {self.numbers[peer] for peer in believed.round_trips} == {
                    peer for end, peer in self.links if end == member
                }
                digest = {
                    (entry.agent_id, entry.epoch, entry.sequence, entry.instance)
                    for entry in digest_of(state)
                }
                held = {
                    (entry.agent_id, entry.epoch, entry.sequence, entry.instance)
                    for entry in digest_of(other)
                }
                assert digest == held


def digest_of(state: RouteTableState):
    return state._link_state.digest()


SIZE = 5
numbers = st.integers(0, SIZE - 1)
events = st.one_of(
    st.tuples(st.just("connect"), numbers, numbers),
    st.tuples(st.just("connect"), numbers, numbers),
    st.tuples(st.just("cut"), numbers, numbers),
    st.tuples(st.just("deliver"), st.integers(0, 50)),
    st.tuples(st.just("deliver"), st.integers(0, 50)),
    st.tuples(st.just("pass_time"), st.sampled_from((0.0, 0.01, 0.07, 0.5, 5.0, 130.0, 400.0))),
    st.tuples(st.just("state_endpoints"), numbers, st.lists(st.sampled_from("abc"), max_size=2, unique=True)),
    st.tuples(st.just("crash"), numbers),
    st.tuples(st.just("restart"), numbers, st.sampled_from((0.0, 0.0, -3600.0, -1e9))),
)

ON_THE_LINK_FOR_LONG = [
    ("connect", 1, 3),
    *[("deliver", 0)] * 2,
    ("connect", 0, 3),
    *[("deliver", 0)] * 2,
    ("pass_time", 400.0),
    ("crash", 1),
]


@examples(1.5)
@given(st.lists(events, max_size=60))
@example(ON_THE_LINK_FOR_LONG)
def test_after_any_schedule_all_agents_agree_and_are_right(schedule):
    mesh = Mesh(SIZE)
    for method, *arguments in schedule:
        getattr(mesh, method)(*arguments)
    # The longest wait of a change is a second, and a clock that was set back costs one more.
    mesh.settle(2 * QUIET_S)
    mesh.check()


def test_a_line_of_agents_learns_of_a_change_without_any_waiting():
    mesh = Mesh(6)
    for number in range(5):
        mesh.connect(number, number + 1)
    mesh.settle(2 * QUIET_S)
    mesh.state_endpoints(5, ["a"])
    while mesh.deliver(0):
        pass
    mesh.pass_time(MIN_COMPUTE_INTERVAL_S)
    far = mesh.tables[0]
    assert far is not None
    [candidate] = far.snapshot.candidates["a"]
    assert (candidate.agent_id, candidate.hop_count) == (IDENTITIES[5].id, 5)


def test_who_withdraws_is_gone_everywhere_before_its_links_are():
    mesh = Mesh(4)
    for number in range(3):
        mesh.connect(number, number + 1)
    mesh.state_endpoints(3, ["a"])
    mesh.settle(2 * QUIET_S)
    mesh.act(3, "withdraw")
    while mesh.deliver(0):
        pass
    mesh.pass_time(MIN_COMPUTE_INTERVAL_S)
    far = mesh.tables[0]
    assert far is not None
    assert "a" not in far.snapshot.candidates
    assert IDENTITIES[3].id not in far.snapshot.records
    # It comes back, and is believed at once although its clock is an hour behind.
    mesh.restart(3, -3600.0)
    mesh.state_endpoints(3, ["a"])
    mesh.connect(2, 3)
    mesh.settle(2 * QUIET_S)
    mesh.check()


def test_a_quiet_mesh_sends_refreshes_only():
    mesh = Mesh(3)
    mesh.connect(0, 1)
    mesh.connect(1, 2)
    mesh.settle(10.0)
    before = [state.counts() for state in mesh.tables.values() if state is not None]
    mesh.settle(1200.0)
    after = [state.counts() for state in mesh.tables.values() if state is not None]
    for one, other in zip(before, after, strict=True):
        assert other.records_originated_total - one.records_originated_total == 10
        assert other.routes_computed_total == one.routes_computed_total
        assert other.records_expired_total == 0
    mesh.check()
