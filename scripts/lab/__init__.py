"""The laboratory: real agents, services and clients on loopback, for the tests and tools that need them."""
