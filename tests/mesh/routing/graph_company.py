"""Small meshes of records, for searches through them."""

from types import MappingProxyType

from hypothesis import strategies as st

from mesh.routing.records import Record, RecordBody
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId, Instance


def agent(number: int) -> AgentId:
    return AgentId(bytes((number,)) * 16)


def record_of(
    number: int,
    peers: dict[int, int],
    *,
    relays: bool = True,
    draining: bool = False,
    may_relay: bool = True,
    keys: tuple[str, ...] = (),
) -> Record:
    return Record(
        agent_id=agent(number),
        body=RecordBody(
            public_key=bytes(32),
            epoch=1,
            sequence=1,
            instance=Instance(bytes(16)),
            session_key=bytes(32),
            certificate=b"",
            relays=relays,
            draining=draining,
            withdrawn=False,
        ),
        certificate=Certificate(
            bytes(32), f"agent-{number}", 0, 1, ("*",), ("*",), may_relay, False, bytes(32)
        ),
        round_trips=MappingProxyType({agent(peer): step for peer, step in peers.items()}),
        offered_keys=keys,
        denied_keys=(),
    )


def mesh(*links: tuple[int, int, int], **records: object) -> dict[AgentId, Record]:
    """Records of agents whose links (one end, other end, step) both ends report."""
    peers: dict[int, dict[int, int]] = {}
    for one, other, step in links:
        peers.setdefault(one, {})[other] = step
        peers.setdefault(other, {})[one] = step
    special = {int(name.removeprefix("agent_")): changes for name, changes in records.items()}
    return {
        agent(number): record_of(number, known, **special.get(number, {})) for number, known in peers.items()
    }


@st.composite
def random_meshes(draw):
    size = draw(st.integers(1, 7))
    reports = draw(
        st.lists(
            st.tuples(st.integers(0, size - 1), st.integers(0, size), st.integers(0, 3), st.booleans()),
            max_size=28,
        )
    )
    peers: list[dict[int, int]] = [{} for _ in range(size)]
    for one, other, step, both in reports:
        if one != other:
            peers[one][other] = step  # agent number ``size`` is one that nobody has a record of
            if both and other < size:
                peers[other][one] = draw(st.integers(0, 3))
    flags = st.tuples(*[st.sampled_from((True, True, True, False))] * 3)
    records = {}
    for number in range(size):
        relays, stays, may_relay = draw(flags)
        keys = draw(st.sampled_from(((), ("a",), ("b",), ("a", "b"))))
        records[agent(number)] = record_of(
            number, peers[number], relays=relays, draining=not stays, may_relay=may_relay, keys=keys
        )
    return records
