"""What every actor receives that reaches out: see :mod:`actors.reaching`."""

import msgspec


class ReachDue(msgspec.Struct, frozen=True):
    """Timer: see what is due of what is being reached."""
