"""Torture: real processes, real faults, and a judge that shares no code with the product.

`python -m tests.torture --short` prints, per fault, how many hits fell in the sending window and what became of them.
"""
