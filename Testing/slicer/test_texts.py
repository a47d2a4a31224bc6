"""Texts are looked up under the file that holds them, as Slicer files its translations."""

import sys

import numpy as np
import pytest

pytest.importorskip("slicer")


def test_texts_are_translated_under_the_file_that_holds_them(the_module, a_scene, monkeypatch):
    asked = []
    monkeypatch.setattr(
        sys.modules["slicer.i18n"],
        "translate",
        lambda *context_and_text: asked.append(context_and_text) or context_and_text[1],
    )
    from Speckle2SelfSlicerLib.planes import choose_axis

    volume = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    import slicer

    slicer.util.updateVolumeFromArray(volume, np.zeros((1, 4, 4), np.uint8))
    choose_axis(volume)
    assert ("Speckle2SelfSlicerLib.planes", "The volume is a single frame.") in asked
