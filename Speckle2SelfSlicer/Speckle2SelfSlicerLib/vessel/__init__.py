"""Segment and measure: first contours, figures of a vessel, lines and curves that show them. No widgets in here."""
