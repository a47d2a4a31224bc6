"""Whole archives: many files on many processes or machines, with a manifest that makes a run go on where it stopped."""
