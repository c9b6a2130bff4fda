"""A link that one end does not want any more: the other end has a new one before it is closed."""

import pytest

from actors.links.peer_directory import HANG_UP_S, RETIRE_AFTER_S
from actors.messages import connection_table as connection_table_messages
from actors.messages import dialer as dialer_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_messages
from actors.runtime.virtual.world import VirtualWorld
from mesh.link import bodies
from mesh.link.frames import FrameType
from tests.actors.company import IDENTITIES, start
from tests.actors.links.test_links_between_agents import Side

LOWER, HIGHER = IDENTITIES[0], IDENTITIES[-1]
UNWANTED = "this peer is not dialed any more"


@pytest.fixture
def world(caplog):
    with VirtualWorld(1) as world:
        yield world
    assert [record for record in caplog.get_records("call") if record.exc_info] == []


@pytest.fixture(params=["the lower removes", "the higher removes"])
def ends(world, request):
    """The end that will hang up, and the other; both accept."""
    leaver_is_lower = request.param == "the lower removes"
    leaver = Side(world, "leaver", LOWER if leaver_is_lower else HIGHER)
    other = Side(world, "other", HIGHER if leaver_is_lower else LOWER)
    leaver.accept()
    other.accept()
    world.run(0.1)
    return leaver, other


def linked(world, leaver, other):
    """Dialers at both ends, and the link that the leaver's has made."""
    ours = leaver.dial("other")
    world.run(1.0)
    theirs = other.dial("leaver")
    world.run(5.0)
    return ours, theirs


def hang_up(world, dialer):
    dialer.ref.tell(dialer_messages.HangUp())
    dialer.ref.stop(block=False)
    world.run(0.0)


def losses(side):
    return side.route_table.of(route_messages.LinkDown)


def test_the_other_end_has_another_link_before_the_first_is_closed(world, ends):
    leaver, other = ends
    ours, _ = linked(world, leaver, other)
    [old] = [link for link in leaver.up if link._is_dialer] or [None]
    hang_up(world, ours)
    for _ in range(100):
        world.run(0.1)
        assert leaver.up, "there is a link all the time"
        assert other.up
    assert losses(leaver) == losses(other) == []
    assert len(leaver.up) == len(other.up) == 1
    assert not leaver.up[0]._is_dialer
    assert old is None or not old.ref.is_alive()


def test_if_nobody_dials_the_mesh_is_told_before_the_link_is_closed(world, ends, caplog):
    caplog.set_level("INFO")
    leaver, other = ends
    ours = leaver.dial("other")
    world.run(1.0)
    hang_up(world, ours)
    world.run(HANG_UP_S - 0.1)
    assert losses(leaver) == losses(other) == []
    world.run(0.2)
    assert len(losses(leaver)) == len(losses(other)) == 1
    frames = [link_messages.SendControl(FrameType.PING, bodies.encode_ping(1))]
    assert leaver.up, "what is under way still arrives"
    leaver.up[0].ref.tell(frames[0])
    world.run(RETIRE_AFTER_S + 0.1)
    assert leaver.up == other.up == []
    assert UNWANTED in caplog.text
    world.run(60.0)
    assert len(leaver.links) == len(other.links) == 1


def test_the_address_is_removed_while_the_other_end_has_admitted_the_link_and_this_one_has_not(world, ends):
    leaver, other = ends
    theirs = other.dial("leaver")
    world.run(2.0)
    ours = leaver.dial("other")
    for _ in range(2_000):  # until the link has been shaken, and is not admitted at this end
        world.run(0.000_1)
        if any(link._is_dialer and link._link.name for link in leaver.links):
            break
    hang_up(world, ours)
    for _ in range(100):
        world.run(0.1)
        assert leaver.up
        assert other.up
    assert losses(leaver) == losses(other) == []
    assert len(leaver.up) == len(other.up) == 1
    assert theirs.ref.is_alive()


def test_another_address_of_the_same_peer_is_dialed_at_once(world, ends):
    leaver, other = ends
    ours = leaver.dial("other")
    world.run(1.0)
    second = leaver.dial("other")
    world.run(5.0)
    alive = [dialer for dialer in (ours, second) if dialer._state.name == "LINKED"]
    hang_up(world, alive[0])
    world.run(10.0)
    assert losses(leaver) == losses(other) == []
    assert len(leaver.up) == len(other.up) == 1


def test_an_agent_that_leaves_meanwhile_closes_its_links(world, ends):
    leaver, other = ends
    ours, theirs = linked(world, leaver, other)
    hang_up(world, ours)
    waits = start(world, host="leaver")
    leaver.directory.ref.tell(directory_messages.CloseAllLinks("the agent leaves", waits.ref))
    world.run(HANG_UP_S + 2 * RETIRE_AFTER_S)
    assert len(waits.of(directory_messages.LinksClosed)) == 1
    assert len(losses(leaver)) == 1
    theirs.ref.stop(block=False)
    world.run(2.0)
    assert leaver.up == other.up == []


def test_the_other_end_leaves_meanwhile(world, ends):
    leaver, other = ends
    ours, theirs = linked(world, leaver, other)
    hang_up(world, ours)
    theirs.ref.stop(block=False)
    waits = start(world, host="other")
    other.directory.ref.tell(directory_messages.CloseAllLinks("the agent leaves", waits.ref))
    world.run(HANG_UP_S + 2 * RETIRE_AFTER_S)
    assert len(waits.of(directory_messages.LinksClosed)) == 1
    assert leaver.up == other.up == []


def test_a_peer_that_retires_its_links_again_and_again_costs_only_these(world, ends):
    leaver, other = ends
    other.dial("leaver")
    third = Side(world, "third", IDENTITIES[1])
    third.dial("other")
    world.run(2.0)
    retire = link_messages.SendControl(FrameType.RETIRE, bodies.encode_retire("again"))
    for _ in range(600):
        for link in leaver.up:
            for _ in range(5):
                link.ref.tell(retire)
        world.run(0.1)
    assert len(other.links) < 60, "it dials again at its own pace"
    assert all(loss.peer_id == leaver.settings.identity.id for loss in losses(other))
    assert len(other.up) <= 4
    assert len(third.links) == 1
    assert other.connection_table.of(connection_table_messages.ForwardingChanged)
