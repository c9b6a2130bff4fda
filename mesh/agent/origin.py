"""Where a service of an agent comes from."""

import enum


class Origin(enum.Enum):
    """The layer that has a service."""

    FILE = "file"
    SAVED = "saved"
    HELD = "held"
