"""What a call to another agent receives."""

from typing import TypeAlias

import msgspec

from actors.messages.listener import FromIngress


class CallDue(msgspec.Struct, frozen=True):
    """Timer: something is due."""


Inbound: TypeAlias = FromIngress | CallDue
