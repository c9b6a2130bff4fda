"""The root actor: what an agent is made of, and how it starts and leaves."""
