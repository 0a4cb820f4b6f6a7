"""Judges finished seeds.

Records -> findings of the same type that a review produces. Pure: nothing runs, nothing is read.

``verdict.judge`` is the entry; ``pgolf reproduce --verify`` calls it again on the records of a bundle.
"""
