"""``invitations.json`` in an issuer's data directory: whom it has invited, and which invitations are used.

An invitation that is not in the file is worth nothing, so a file that is lost opens no door. Each is kept
until it expires, used or not: it is of use once, also if the agent is started anew.
"""

from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.enrolment.kept_json import read_kept
from mesh.agent.files import PRIVATE_MODE, replace_file
from mesh.trust.issuing import Passing

NAME: Final = "invitations.json"

MAX_INVITATIONS: Final = 256
"""At one time, used ones included."""

_WITHOUT: Final = "nobody joins by what was in it then"
"""What it means that a damaged file is taken away."""


class Invitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the holder of an invitation gets, once."""

    id: str
    """Of the key pair of the invitation, as an agent's, in hexadecimal digits."""
    name: str
    """Of the new agent."""
    granted: Passing
    valid_s: int
    """How long the new agent's first certificate is to be valid."""
    expires: int
    """Unix seconds."""
    used_by: str = ""
    """The ID of the agent that has joined; empty if none has."""
    withdrawn: bool = False
    """Nobody joins by it any more."""


class TooManyInvitations(Exception):  # noqa: N818 - what is the case, not an error of anybody
    """There is no room for one more."""


class Invitations:
    """Those of one agent.

    Args:
        data_dir: where the file is, or will be.
        now_unix_s: for leaving out what has expired.

    Raises:
        AgentFileError: the file cannot be read, or is not what was written.
    """

    def __init__(self, data_dir: Path, now_unix_s: float) -> None:
        self._path = data_dir / NAME
        self._kept = {each.id: each for each in read_kept(self._path, list[Invitation], without=_WITHOUT)}
        self._forget_expired(now_unix_s)

    def add(self, invitation: Invitation, now_unix_s: float) -> None:
        """Keep one more; on return it is on the disk.

        Raises:
            TooManyInvitations: see ``MAX_INVITATIONS``.
            AgentFileError: it cannot be written; then there is no such invitation.
        """
        self._forget_expired(now_unix_s)
        if len(self._kept) >= MAX_INVITATIONS:
            raise TooManyInvitations(
                f"{MAX_INVITATIONS} invitations have not expired yet; wait until some have"
            )
        self._keep(invitation)

    def find(self, invitation_id: str) -> Invitation | None:
        """The invitation with this ID, used or not, if it is kept."""
        return self._kept.get(invitation_id)

    def all(self, now_unix_s: float) -> tuple[Invitation, ...]:
        """Those that have not expired, in the order in which they were made; any thread may ask."""
        return tuple(each for each in self._kept.values() if now_unix_s < each.expires)

    def withdraw(self, invitation: Invitation) -> None:
        """Let nobody join by it any more; on return that is on the disk.

        Raises:
            AgentFileError: it cannot be written; then it is good still.
        """
        self._keep(msgspec.structs.replace(invitation, withdrawn=True))

    def use(self, invitation: Invitation, agent_id: str) -> None:
        """Note that an agent joins by it; on return that is on the disk.

        Raises:
            AgentFileError: it cannot be written; then it is not used.
        """
        self._keep(msgspec.structs.replace(invitation, used_by=agent_id))

    def _keep(self, invitation: Invitation) -> None:
        kept = self._kept | {invitation.id: invitation}
        text = msgspec.json.format(msgspec.json.encode(list(kept.values())), indent=1).decode()
        replace_file(self._path, f"{text}\n", PRIVATE_MODE)
        self._kept = kept

    def _forget_expired(self, now_unix_s: float) -> None:
        self._kept = {key: each for key, each in self._kept.items() if now_unix_s < each.expires}
