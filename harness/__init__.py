"""The application: command line, review, sweep, and everything that executes a submission."""
