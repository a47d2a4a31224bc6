"""Cines on real MRML, and methods for tests that need no network."""

import threading
from dataclasses import dataclass, field

import numpy as np

OBLIQUE = np.array([[0.0, -0.3, 0, 5], [-0.2, 0, 0, 7], [0, 0, 1.5, -9], [0, 0, 0, 1]])


@dataclass
class Inverse:
    """A method that leaves no pixel as it was."""

    name: str = "inverse"
    title: str = "Inverse"
    citation: str = "none"

    def despeckle(self, frames_nyx):
        return 1 - frames_nyx


@dataclass
class Patient(Inverse):
    """A method that waits at every frame until it is let go, and counts frames."""

    go_on: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    frames: int = 0

    def despeckle(self, frames_nyx):
        assert self.go_on.acquire(timeout=20)
        self.frames += len(frames_nyx)
        return 1 - frames_nyx


def speckle(shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).rayleigh(60, shape).clip(1, 254).astype(dtype)


def ready_for_sequences(scene):
    """Register the sequence classes with a scene, as the application does at its start."""
    import slicer

    if not scene.GetClassNameByTag("SequenceBrowser"):
        logic = slicer.vtkSlicerSequencesLogic()
        logic.SetMRMLScene(scene)
        scene.sequences_logic = logic  # kept alive with the scene


def add_cine(scene, frames_nyx, name="Cine", matrices=None):
    """Add a sequence of one-slice volumes (grey or RGB), its browser and proxy; return sequence, browser and proxy."""
    import slicer
    import slicer.util

    ready_for_sequences(scene)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    kind = "vtkMRMLVectorVolumeNode" if frames_nyx[0].ndim == 3 else "vtkMRMLScalarVolumeNode"
    for number, frame_yx in enumerate(frames_nyx):
        frame = getattr(slicer, kind)()
        matrix = np.diag((-0.2, -0.3, 1.0, 1.0)) if matrices is None else matrices[number]
        frame.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        slicer.util.updateVolumeFromArray(frame, np.ascontiguousarray(frame_yx[None]))
        sequence.SetDataNodeAtValue(frame, f"{number * 0.04:.2f}")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    update(browser)
    proxy = browser.GetProxyNode(sequence)
    proxy.CreateDefaultDisplayNodes()
    return sequence, browser, proxy


def show(browser, number):
    browser.SetSelectedItemNumber(number)
    update(browser)


def update(browser):
    import slicer

    slicer.vtkSlicerSequencesLogic().UpdateProxyNodesFromSequences(browser)
