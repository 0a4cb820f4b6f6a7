"""Whether the score is honest: which tokens were scored, in which order, from which data."""
