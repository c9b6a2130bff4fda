"""Why an agent did not open a connection, in sentences for people: of the codes that there are."""

from types import MappingProxyType
from typing import Final

from mesh.connection.reject_codes import IngressVerdict, RejectCode

NOT_OPENED: Final = "no answer: it was asked, and has not opened the connection in time"

_SENTENCES: Final = MappingProxyType(
    {
        RejectCode.NOT_PERMITTED.value: "refused: a certificate or its endpoint's allow: does not permit it",
        RejectCode.UNKNOWN_KEY.value: "refused: it has no endpoint of this key, or knows no diagnostics",
        RejectCode.RESTARTING.value: "refused: its endpoint is being started again",
        RejectCode.UNAVAILABLE.value: "refused: its endpoint is withdrawn, or the agent is leaving",
        RejectCode.AT_CAPACITY.value: "refused: it has as many connections as it may have",
        RejectCode.UNRESOLVED.value: "the target's name has no address there",
        RejectCode.REFUSED.value: "the target refuses connections",
        RejectCode.TIMED_OUT.value: "the target does not answer",
        RejectCode.SLOW.value: "the target takes long to answer",
        RejectCode.UNREACHABLE.value: "the target cannot be reached from there",
        IngressVerdict.SILENT.value: NOT_OPENED,
        IngressVerdict.RESTARTED.value: "the agent has been started anew meanwhile",
        IngressVerdict.EXPIRED.value: "the agent's certificate has ended",
        IngressVerdict.NOT_BELIEVED.value: "the agent may not offer this key, or agents: does not name it",
        IngressVerdict.UNUSABLE_KEY.value: "the agent's session key is of no use",
        IngressVerdict.LOOP.value: "its target is a listener of this agent",
    }
)


def sentence_of(code: str) -> str:
    """What a code means; one that is not known here is given as it is."""
    return _SENTENCES.get(code, f"refused: {code}" if code else NOT_OPENED)
