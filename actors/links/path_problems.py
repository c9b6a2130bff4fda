"""What is wrong with the paths of links that dialers make."""

from actors.messages.peer_directory import PathJudged
from actors.runtime.seam import AnyRef


class PathProblems:
    """Keeps what dialers say of them."""

    def __init__(self) -> None:
        self._by_dialer: dict[str, str] = {}

    def judge(self, said: PathJudged) -> None:
        """Something is wrong with the path of a dialer's links, or nothing."""
        self._by_dialer.pop(said.dialer_urn, None)
        if said.problem:
            self._by_dialer[said.dialer_urn] = said.problem

    def problem_of(self, dialer: AnyRef | None) -> str | None:
        """What is wrong with the path of this dialer's link; of one that was accepted nobody says."""
        return None if dialer is None else self._by_dialer.get(dialer.actor_urn)
