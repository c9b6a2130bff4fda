"""A simulated run looks whether last words arrive, and says so where they do not."""

import errno

import pytest

from scripts.simulation import invariants
from scripts.simulation.conversation import Manner, Pace, Terms
from tests.simulation.mesh_world import mesh_world, three_agents

SERVICE_RESETS = Terms(1, down=20_000, manner=Manner.LAST_WORDS)
CLIENT_RESETS = Terms(2, up=20_000, down=1)
SPEAKS_LAST = Pace(last_words=True, finishes=False)


@pytest.mark.parametrize(("terms", "pace"), [(SERVICE_RESETS, Pace()), (CLIENT_RESETS, SPEAKS_LAST)])
def test_what_precedes_a_reset_crosses_a_mesh(terms, pace):
    with mesh_world(1) as mesh:
        three_agents(mesh)
        talk = mesh.converse(terms, pace)
        invariants.last_words_arrive(mesh, [talk], 5.0)
        heard = mesh.records[2] if pace.last_words else talk.heard
        assert heard.error == errno.ECONNRESET
        heard.byte_count -= 1
        with pytest.raises(invariants.InvariantError, match="last words arrive"):
            invariants.last_words_arrive(mesh, [talk], 1.0)


def test_a_conversation_that_ends_in_order_has_no_last_words():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        talk = mesh.converse(Terms(3, down=100))
        with pytest.raises(invariants.InvariantError, match="last words arrive"):
            invariants.last_words_arrive(mesh, [talk], 5.0)
