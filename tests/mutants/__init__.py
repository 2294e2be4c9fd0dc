"""Deliberate faults, and whether the tests notice them: `python -m tests.mutants`."""
