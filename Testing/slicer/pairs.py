"""Pairs of an original and a despeckled volume on real MRML."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

LEFT_HANDED_OBLIQUE = np.array(
    [[0.0, -0.18, 0.72, 12.5], [0.3, 0.0, 0.0, -40.25], [0.0, 0.24, 0.54, 7.0], [0.0, 0.0, 0.0, 1.0]]
)
UPRIGHT = np.diag([-0.25, -0.25, 0.5, 1.0])
"""IJKToRAS with which an axial view shows rows from the top and columns from the left, as ultrasound is stored."""


class Pair(NamedTuple):
    original: object
    despeckled: object


def speckle(shape=(5, 24, 20), dtype=np.uint8):
    return np.random.default_rng(0).integers(1, 250, shape).astype(dtype)


def smooth(pixels):
    """Return a despeckled version (Z, Y, X[, C]) of the same type."""
    return ndimage.median_filter(pixels, (1, 5, 5, 1)[: pixels.ndim])


def add_pair(pixels, ijk_to_ras=UPRIGHT, name="Carotid"):
    """Add a volume and its despeckled version to `slicer.mrmlScene`, both shown as the values are."""
    return Pair(add(pixels, ijk_to_ras, name), add(smooth(pixels), ijk_to_ras, f"{name} (Speckle2Self)"))


def add(pixels, ijk_to_ras=UPRIGHT, name="Volume"):
    import slicer

    kind = "vtkMRMLVectorVolumeNode" if pixels.ndim == 4 else "vtkMRMLScalarVolumeNode"
    volume = slicer.util.addVolumeFromArray(pixels, ijk_to_ras, name, kind)
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(255, 127.5)
    return volume


def pixels_of(volume):
    import slicer

    return slicer.util.arrayFromVolume(volume)


def matrix_of(vtk_matrix):
    import slicer

    return slicer.util.arrayFromVTKMatrix(vtk_matrix)


def ijk_to_ras_of(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix_of(matrix)


def add_cine_pair(scene, frames):
    """Add two sequences of frames (T, Z, Y, X), original and despeckled, and return browser and the pair of proxies."""
    import slicer

    browser = scene.AddNode(slicer.vtkMRMLSequenceBrowserNode())
    sequences = []
    for name, change in (("Cine", np.asarray), ("Cine (Speckle2Self)", smooth)):
        sequence = scene.AddNode(slicer.vtkMRMLSequenceNode())
        sequence.SetName(name)
        for number, frame in enumerate(frames):
            volume = add(change(frame), name=name)
            sequence.SetDataNodeAtValue(volume, str(number))
            scene.RemoveNode(volume.GetDisplayNode())
            scene.RemoveNode(volume)
        browser.AddSynchronizedSequenceNode(sequence)
        sequences.append(sequence)
    select_frame(browser, 0)
    proxies = Pair(*(browser.GetProxyNode(sequence) for sequence in sequences))
    for proxy in proxies:
        proxy.CreateDefaultDisplayNodes()
    return browser, proxies


def select_frame(browser, number):
    import slicer

    browser.SetSelectedItemNumber(number)
    slicer.vtkSlicerSequencesLogic().UpdateProxyNodesFromSequences(browser)
