"""One module per output format: how text from a submission is written so that it stays text."""
