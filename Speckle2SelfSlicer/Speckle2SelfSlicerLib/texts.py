"""Texts for people, translated where Slicer's translation is at hand."""

from __future__ import annotations


def tr(text: str) -> str:
    """Return a text in the user's language: Slicer's translation, or the text itself outside of Slicer."""
    try:
        from slicer.i18n import tr as translated
    except ImportError:
        return text
    return str(translated(text))
