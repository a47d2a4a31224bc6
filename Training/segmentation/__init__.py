"""Segmentation: does despeckling help it, and the small carotid segmenter that ships with the package."""
