"""The command line: `python -m cli {demo,tryon,download,doctor,...}` from the repository's root.

Composes ootd_core, humanparse and openpose. Commands report expected errors (ValueError,
FileNotFoundError) as one sentence with exit code 2.
"""
