"""How many clients of one listener are connected."""


class ClientCount:
    """Clients of one listener whose sockets are open.

    It outlives the listener: one that crashes and is started again goes on counting where it stood, for its
    clients stay. The listener counts them in, each ingress connection counts its own out.
    """

    __slots__ = ("connected",)

    def __init__(self) -> None:
        self.connected = 0
