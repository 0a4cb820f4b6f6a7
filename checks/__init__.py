"""Reads a submission and judges it; never executes it. Imports neither ``harness`` nor ``reports``."""
