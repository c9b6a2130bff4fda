"""Who takes part: identities, what authorities certify, and the Noise handshakes that prove it."""
