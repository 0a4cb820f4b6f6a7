"""Rules on what the logs prove."""
