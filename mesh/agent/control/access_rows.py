"""What the API says of who may do what."""

import msgspec


class GateRow(msgspec.Struct, frozen=True):
    """How one gate stands that a connection passes."""

    gate: str
    """``validity`` of the agent's certificate and of the exit's; what the agent's certificate lets it ``use``
    and the endpoint's ``allow``; what the exit's certificate lets it ``register`` and the listener's
    ``agents``; and whether agents that ``relay`` lead there."""
    is_open: bool
    by: str
    """What opens it: a pattern of the certificate or an entry of the list; empty if there is no list. Of a
    validity, whose it is."""


class AccessRow(msgspec.Struct, frozen=True):
    """Something that an agent may do, or not."""

    right: str
    """``use`` of a key at an exit, to ``offer`` a key, to ``relay``, to ``manage`` other agents."""
    may: str
    """``yes``, ``no``, or ``depends``: on the endpoint's ``allow:``, which only its own agent knows."""
    agent_id: str
    agent: str
    key: str | None
    exit_id: str | None
    exit: str | None
    """``null`` if nobody offers the key."""
    gates: tuple[GateRow, ...]
    """Of a use at an exit."""
    path: tuple[str, ...]
    """The names of all agents on the way, both ends included."""
    sentence: str
    """All of it for people."""
