"""``/health``, ``/healthz`` and ``/ready``: for supervisors and load balancers."""

from collections.abc import Sequence
from typing import Final

import falcon
import msgspec

from mesh.agent.dashboard.findings_shown import findings_shown
from mesh.agent.dashboard.single_flight import SingleFlight
from mesh.agent.dashboard.stamps import stamped
from mesh.agent.dashboard.status import DashboardSnapshot, StatusUnavailable
from mesh.agent.findings import Finding, FindingKind

READY: Final = "ready"
NOT_READY: Final = "not ready"


class HealthResource:
    """The process lives and serves HTTP; asks nobody."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Always 200."""
        resp.data = msgspec.json.encode({"status": "ok"})

    on_head = on_get


class ReadyResource:
    """The actors answer, or did lately, and find no problem: see :mod:`mesh.agent.verdict`.

    A probe is to find out an agent that is stuck or cannot serve, not one that is busy for a moment.
    """

    def __init__(self, status: SingleFlight[DashboardSnapshot]) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 when ready; 503 with the reasons otherwise.

        Plain text, a line for each problem and each warning; JSON for whoever asks for it and not for text.
        ``age_s`` says how old the answer is: 0 unless the actors are late.
        """
        problems: tuple[Finding, ...]
        warnings: tuple[Finding, ...] = ()
        age_s = 0.0
        try:
            answer = stamped(req.env, self._status.latest, self._status.stamp)
        except StatusUnavailable as unavailable:
            problems = (Finding(FindingKind.STATUS, f"status unavailable: {unavailable}"),)
            resp.set_header("Retry-After", "1")
        else:
            problems, warnings = answer.value.problems, answer.value.warnings
            age_s = round(answer.age_s, 3)
        status = NOT_READY if problems else READY
        resp.status = falcon.HTTP_503 if problems else falcon.HTTP_200
        if req.client_prefers((falcon.MEDIA_TEXT, falcon.MEDIA_JSON)) == falcon.MEDIA_JSON:
            content: dict[str, object] = {
                "status": status,
                "problems": [problem.text for problem in problems],
                "warnings": [warning.text for warning in warnings],
                "findings": findings_shown(problems, warnings),
                "age_s": age_s,
            }
            resp.data = msgspec.json.encode(content)
        else:
            resp.content_type = falcon.MEDIA_TEXT
            resp.data = ready_text(status, problems, warnings, age_s).encode()

    on_head = on_get


def ready_text(status: str, problems: Sequence[Finding], warnings: Sequence[Finding], age_s: float) -> str:
    """The answer for people: the status, then a line for each problem and each warning."""
    late = f" ({age_s:.1f} s ago: the agent is busy)" if age_s else ""
    found = (*(problem.line() for problem in problems), *(f"warning: {each.line()}" for each in warnings))
    lines = [f"{status}{late}", *found]
    return "".join(f"{line}\n" for line in lines)
