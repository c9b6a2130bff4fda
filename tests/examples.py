"""How many examples are tried, and how many seeds simulated: as the profile of Hypothesis says."""

from hypothesis import HealthCheck, settings

PROFILES = {"few": 10, "usual": 100, "many": 5000}
"""Examples of a test, by the name that ``--hypothesis-profile`` takes."""


def register_profiles():
    """Make them known, and ``usual`` the one that counts unless the command line names another."""
    for name, count in PROFILES.items():
        # How long an example takes says how busy the machine is, not whether the code is right.
        settings.register_profile(name, deadline=None, max_examples=count)
    settings.load_profile("usual")


def examples(share, *, are_large=False):
    """Try so many times what the profile says; large ones are slow to draw, which is not told."""
    suppressed = [HealthCheck.too_slow] if are_large else []
    return settings(max_examples=round(share * settings().max_examples), suppress_health_check=suppressed)


def seeds(usually):
    """Of simulated worlds: so many in the usual profile, in others more or less as it is with examples."""
    return range(max(1, usually * settings().max_examples // PROFILES["usual"]))
