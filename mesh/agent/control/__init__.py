"""The control socket: how commands on this machine ask a running agent, and change it."""
