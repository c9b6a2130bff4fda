"""The seam over an event loop of its own and the kernel's sockets."""
