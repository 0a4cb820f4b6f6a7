"""Renders a verdict, one renderer a file; knows nothing of how the verdict was reached."""
