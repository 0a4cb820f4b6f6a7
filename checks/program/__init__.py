"""The static engine: unpack, parse, lower, interpret abstractly; never runs submitted code."""
