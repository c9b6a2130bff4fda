"""The agent as a process: composition, files, logs, commands and the HTTP server."""
