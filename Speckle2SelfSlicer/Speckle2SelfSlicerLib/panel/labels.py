"""Labels that take no room while they have nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import qt


def set_text(label: qt.QLabel, text: str) -> None:
    """Show a text, or hide the label if there is none."""
    label.text = text
    label.visible = bool(text)
