"""The fixtures of the Slicer tests, for the one test that compares the three faces."""

from Testing.slicer.conftest import a_logic, a_scene, the_module

__all__ = ["a_logic", "a_scene", "the_module"]
