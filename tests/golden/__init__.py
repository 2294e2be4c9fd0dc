"""Comparison with numbers that the original implementation computed.

`python -m tests.golden.check FOLDER` runs every case of such a folder; A, B, C and D beside this
file are a small subset of the reference data that the test-suite runs each time.
"""
