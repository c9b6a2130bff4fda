"""Named extensions of what is signed: certificates and records.

    extension    MessagePack array: name, critical, data

A version that does not know an extension refuses what carries it if it is critical, for it may take away what
the rest grants; any other it keeps, and passes on, since signed bytes are never encoded again. This version
knows none in certificates, and one in records (:mod:`mesh.routing.software`).
"""

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

import msgspec

from mesh.errors import TrustError

MAX_EXTENSIONS: Final = 8
MAX_EXTENSION_NAME_CHARACTERS: Final = 64
MAX_EXTENSION_BYTES: Final = 512
"""Of one; a certificate or record has its own limit besides."""

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.-]+\Z", max_length=MAX_EXTENSION_NAME_CHARACTERS)]


class Extension(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a later version adds; its names are those of features, with dots."""

    name: _Name
    critical: bool
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_EXTENSION_BYTES)]


Extensions: TypeAlias = Annotated[tuple[Extension, ...], msgspec.Meta(max_length=MAX_EXTENSIONS)]


def check_extensions(extensions: Iterable[Extension], what: str) -> None:
    """See that ``what`` has no extension that this version had to know, and none twice.

    Raises:
        TrustError: it has.
    """
    names: set[str] = set()
    for extension in extensions:
        if extension.critical:
            raise TrustError(
                f"{what} has the critical extension {extension.name!r}, which this version does not know"
            )
        if extension.name in names:
            raise TrustError(f"{what} has the extension {extension.name!r} twice")
        names.add(extension.name)
