"""Why an exit does not serve, as REJECT says it, and what an ingress itself finds of an exit."""

from enum import StrEnum
from typing import Final


class RejectCode(StrEnum):
    """Code of a REJECT. A later exit may send one that is not known here: on the wire it is text."""

    MALFORMED = "malformed"
    NOT_PERMITTED = "not-permitted"
    UNKNOWN_KEY = "unknown-key"
    RESTARTING = "restarting"
    """The endpoint has crashed and is being started again."""
    UNAVAILABLE = "unavailable"
    AT_CAPACITY = "at-capacity"
    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    SLOW = "slow"
    """The target, or the endpoint, takes its time, and early data waits: others may have it meanwhile."""
    UNREACHABLE = "unreachable"


class IngressVerdict(StrEnum):
    """The ingress's own codes; an exit that sends one of them means nothing by it."""

    RESTARTED = "restarted"
    """The exit's agent runs as a new instance since it was chosen."""
    EXPIRED = "expired"
    """The certificate of the exit's agent has ended since it was chosen."""
    NOT_BELIEVED = "not-believed"
    """Its certificate does not let it offer the key any more, or the listener does not name it any more."""
    SILENT = "silent"
    """It has not answered yet."""
    UNUSABLE_KEY = "unusable-key"
    """Its session key is of no use."""
    LOOP = "loop"
    """Its target is a listener of the ingress's agent."""


_VERDICTS: Final = frozenset(verdict.value for verdict in IngressVerdict)


def code_of_exit(code: str) -> str:
    """What an exit says with the code of its REJECT: never what only an ingress can find."""
    return RejectCode.UNAVAILABLE if code in _VERDICTS else code
