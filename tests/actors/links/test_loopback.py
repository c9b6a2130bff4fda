"""The loopback: frames of a connection whose ends are both at this agent."""

from actors.links.loopback import Loopback
from actors.messages import connection_table as connection_table_messages
from actors.messages import peer_link as messages
from actors.runtime.virtual.world import VirtualWorld
from mesh.link.frames import Frame, FrameType
from tests.actors.company import IDENTITIES, start

OWN = IDENTITIES[0].id


def test_frames_come_back_to_the_table_as_this_agents_own():
    world = VirtualWorld(1)
    table = start(world)
    loopback = start(world, Loopback, own_id=OWN, connection_table=table.ref)
    frames = (Frame(FrameType.OPEN, False, OWN, OWN, 1, 0, b"sealed"),)
    loopback.ref.tell(messages.SendFrames(frames))
    world.run(0.0)
    assert table.heard == [connection_table_messages.FramesArrived(frames, OWN)]
    world.stop()
