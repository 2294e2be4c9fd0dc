"""Where the bundled files lie, and where results go by default."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MINI_MODEL = ROOT / "demo" / "checkpoints"
"""The mini checkpoint, in the published layout."""
SAMPLES = ROOT / "demo" / "samples"
"""Drawn persons, garments and true pictures for the demo."""
DEMO_RESULT = Path("output") / "demo.png"
