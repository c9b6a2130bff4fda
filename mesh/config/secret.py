"""A value that nobody is to see: it is compared and used, never shown."""

import msgspec


class Secret(msgspec.Struct, frozen=True):
    """One such value."""

    value: bytes

    def __repr__(self) -> str:
        """Hide it from logs, dumps and tracebacks."""
        return "Secret(...)"

    def reveal(self) -> bytes:
        """The value, for whoever checks it."""
        return self.value
