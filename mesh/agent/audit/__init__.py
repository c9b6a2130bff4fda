"""The audit log: who changed what and who connected to what, in files whose lines are chained by hashes."""
