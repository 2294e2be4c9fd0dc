"""What can be wrong with a file of a sample, told apart so that it can be counted.

An `UnusableSample` of neither kind is a file that cannot be read.
"""

from __future__ import annotations

from .sample import UnusableSample


class FileMissing(UnusableSample):
    """A file of the sample is not there."""


class WrongSize(UnusableSample):
    """A file of the sample belongs to a picture of another size or shape."""
