"""What the managed end of a connection to ``mesh:control`` receives."""

from typing import TypeAlias

import msgspec

from actors.messages import inside_end


class AnswerFound(msgspec.Struct, frozen=True):
    """Fact from outside of the actors: this is the answer, as it is on the wire."""

    data: bytes


Inbound: TypeAlias = inside_end.Inbound | AnswerFound
