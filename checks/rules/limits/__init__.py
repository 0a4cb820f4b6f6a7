"""Rules on bytes, seconds and machines."""
