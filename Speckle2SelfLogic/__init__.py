"""Speckle2Self: speckle reduction for ultrasound B-mode images. Research use only, not for diagnosis."""

__version__ = "0.1.0"

RESEARCH_USE = "Research use only. Not for diagnosis."
"""Shown wherever people see output."""
