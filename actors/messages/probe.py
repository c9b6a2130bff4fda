"""What a probe receives."""

from typing import TypeAlias

import msgspec

from actors.messages.listener import FromIngress


class ProbeDue(msgspec.Struct, frozen=True):
    """Timer: something is due."""


class EndProbe(msgspec.Struct, frozen=True):
    """Command: end; nobody wants to know any more."""


Inbound: TypeAlias = FromIngress | ProbeDue | EndProbe
