"""The extension of a record by which an agent tells which version of its software it runs, for people."""

from collections.abc import Iterable
from typing import Final

from mesh.trust.extensions import Extension

SOFTWARE: Final = "software"

MAX_SOFTWARE_BYTES: Final = 64


def software_extensions(version: str) -> tuple[Extension, ...]:
    """What a record carries so that others know ``version``; nothing if that is empty."""
    data = version.encode()[:MAX_SOFTWARE_BYTES]
    return (Extension(SOFTWARE, critical=False, data=data),) if data else ()


def software_in(extensions: Iterable[Extension]) -> str | None:
    """The version that they tell; ``None`` if none, or none that people can read."""
    for extension in extensions:
        if extension.name == SOFTWARE and 0 < len(extension.data) <= MAX_SOFTWARE_BYTES:
            try:
                text = extension.data.decode()
            except UnicodeDecodeError:
                return None
            return text if text.isprintable() else None
    return None
