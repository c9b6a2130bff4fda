"""SOCKS5 (RFC 1928) as a pure state machine, and what host names mean in the mesh."""
