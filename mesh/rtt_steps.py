"""Round-trip times in steps: coarse enough that a queue that comes and goes moves no route."""

import math
from typing import Final

RTT_UNIT_S: Final = 0.0005
"""Step 0 is a round trip up to this; each step doubles it."""

MAX_RTT_STEP: Final = 20
"""Half a millisecond doubled 20 times: nine minutes, far beyond any live link."""


def rtt_step(rtt_s: float) -> int:
    """The quantised round trip: 0 up to half a millisecond, then one more for each doubling, at most 20."""
    if rtt_s <= RTT_UNIT_S:
        return 0
    return min(math.ceil(math.log2(rtt_s / RTT_UNIT_S)), MAX_RTT_STEP)
