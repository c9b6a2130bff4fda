"""How much of what peers say is taken in one step, so that data has its turn between two of them."""

from typing import Final

STEP_VERIFIED: Final = 8
"""Records verified in one step: 130 us each, so that data waits for a millisecond of it and not for ten."""

STEP_RECORDS: Final = 64
"""Records looked at in one step: 20 us at the most for each that need not be verified."""
