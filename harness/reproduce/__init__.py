"""Runs a submission as the rules say, on hostile code, and hands back evidence that others can check.

plan -> machine -> data view -> (per seed) run in the sandbox, replay from the artifact -> judge -> bundle -> verify.
What is known of a run is what the harness saw from outside; what the submission printed is a claim to be compared.
"""
