"""Texts for people, translated where Slicer's translation is at hand."""

from __future__ import annotations

import sys


def tr(text: str) -> str:
    """Return a text in the user's language: Slicer's translation, or the text itself outside of Slicer.

    Translations are filed by the source file of a text. `slicer.i18n.tr` takes the file that calls it, which would be
    this one for all texts.
    """
    try:
        from slicer.i18n import getContext, translate
    except ImportError:
        return text
    return str(translate(getContext(sys._getframe(1).f_code.co_filename), text))
