"""The seam over an asyncio event loop and the kernel's sockets."""
