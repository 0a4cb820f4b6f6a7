"""Rules on what a pull request has to contain."""
