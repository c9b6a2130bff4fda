"""What each actor receives: one data-only module per receiving actor."""
