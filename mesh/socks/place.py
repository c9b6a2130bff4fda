"""Where in its data directory every agent speaks SOCKS5."""

from typing import Final

NAME: Final = "socks.sock"
