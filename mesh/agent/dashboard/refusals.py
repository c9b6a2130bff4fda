"""What Waitress refuses before anything of this program sees it, as a problem document (RFC 9457)."""

from typing import Final

import msgspec
from waitress.task import ErrorTask  # type: ignore[import-untyped]

PROBLEM_TYPE: Final = "application/problem+json"


class RefusalTask(ErrorTask):  # type: ignore[misc]
    """Answers to a request that is malformed or too large, and ends the connection."""

    def execute(self) -> None:
        """Answer."""
        error = self.request.error
        document = {"title": error.reason, "status": error.code, "detail": error.body}
        body = msgspec.json.encode(document)
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", PROBLEM_TYPE))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
