from hypothesis import given
from hypothesis import strategies as st

from mesh.link.bodies import MAX_WANTED_AGENTS, MAX_WANTED_PAGES, WantedPages
from mesh.routing.work_steps import STEP_VERIFIED, wanted_in_steps
from mesh.trust.identity import AgentId


@given(st.lists(st.integers(0, MAX_WANTED_PAGES), max_size=MAX_WANTED_AGENTS))
def test_what_is_wanted_comes_in_order_and_in_full_steps(counts):
    wanted = [
        WantedPages(AgentId(bytes([agent]) * 16), tuple(bytes([agent, page] * 8) for page in range(count)))
        for agent, count in enumerate(counts)
    ]
    steps = [[(w.agent_id, digest) for w in part for digest in w.digests] for part in wanted_in_steps(wanted)]
    assert [one for step in steps for one in step] == [
        (w.agent_id, digest) for w in wanted for digest in w.digests
    ]
    assert all(len(step) == STEP_VERIFIED for step in steps[:-1])
    assert all(0 < len(step) <= STEP_VERIFIED for step in steps[-1:])
