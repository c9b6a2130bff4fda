"""The protocol and its rules, pure: bytes and values in, bytes and values out."""
