"""The loopback: takes a link's place for frames whose ingress and exit are this same agent."""

from actors.messages import connection_table as connection_table_messages
from actors.messages import peer_link as messages
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, Ref
from mesh.trust.identity import AgentId


class Loopback(Actor[messages.SendFrames]):
    """Hands every frame back to this agent's connection table, as if it had crossed links."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        own_id: AgentId,
        connection_table: Ref[connection_table_messages.FramesArrived],
    ) -> None:
        super().__init__(dispatcher)
        self._own_id = own_id
        self._connection_table = connection_table

    def on_receive(self, message: messages.SendFrames) -> None:
        """Hand the frames back."""
        arrived = connection_table_messages.FramesArrived(message.frames, self._own_id)
        self.tell(self._connection_table, arrived)
