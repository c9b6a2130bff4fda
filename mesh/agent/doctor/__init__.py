"""What ``mesh doctor`` looks at: an agent's files and ports, and what the agent says while it runs."""
