"""The part of 3D Slicer around slice views, without Qt: real MRML logics and displayable managers, drawn off-screen.

`SliceApplication` does for the nodes of a scene what the application's layout manager does: every slice node gets a
slice logic, and links between views work. Nothing is drawn until a picture is asked for. `slicer` and `vtk` are
imported inside, so that tests can skip where they are missing.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
VIEW_SIZE = (320, 320)
WINDOW_CLASS = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}
NO_PICTURES = "needs off-screen rendering: libEGL and a driver for it, which may be Mesa's software driver"
MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
)
PROBE = """
import vtk
from vtk.util.numpy_support import vtk_to_numpy
renderer, window, reader = vtk.vtkRenderer(), vtk.vtkRenderWindow(), vtk.vtkWindowToImageFilter()
renderer.SetBackground(1, 0, 0)
window.SetOffScreenRendering(1), window.AddRenderer(renderer), window.SetSize(8, 8), window.Render()
reader.SetInput(window), reader.Update()
print(*vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())[0])
"""


@functools.cache
def why_no_pictures() -> str:
    """Return why nothing can be drawn on this machine, or nothing if it can. Tried in a process of its own."""
    command = [sys.executable, "-c", PROBE]
    run = subprocess.run(command, env=os.environ | WINDOW_CLASS, capture_output=True, text=True)
    is_drawn = run.returncode == 0 and run.stdout.split() == ["255", "0", "0"]
    return "" if is_drawn else NO_PICTURES


def save_picture(picture: Picture, name: str) -> Path:
    """Write a picture into `Testing/artifacts`, to be looked at."""
    ARTIFACTS.mkdir(exist_ok=True)
    path = ARTIFACTS / f"{name}.png"
    Image.fromarray(picture).save(path)
    return path


class SliceApplication:
    """Application logic, layouts and slice views of a scene.

    Parameters
    ----------
    scene
        An empty scene. Red, Green and Yellow are added to it, and the layout node.
    """

    def __init__(self, scene) -> None:
        import slicer
        import vtk

        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
        self.scene = scene
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.SetMRMLScene(scene)
        self._colors = self.logic.GetColorLogic()
        self._colors.SetMRMLScene(scene)
        self._colors.AddDefaultColorNodes()
        self.logic.SetSliceLogics(vtk.vtkCollection())
        self._windows: dict[str, SliceWindow] = {}
        self._layouts = slicer.vtkMRMLLayoutLogic()
        self._links = slicer.vtkMRMLSliceLinkLogic()
        self._links.SetMRMLApplicationLogic(self.logic)
        self._links.SetMRMLScene(scene)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def adopt(_scene, _event, node) -> None:
            if node.IsA("vtkMRMLSliceNode"):
                self._adopt(node)

        self._tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, adopt)
        self._layouts.SetMRMLScene(scene)
        self.layout_node = self._layouts.GetLayoutNode()
        self.layout_node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def _adopt(self, slice_node) -> None:
        import slicer

        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self.logic)
        self.logic.GetSliceLogics().AddItem(logic)
        logic.SetSliceNode(slice_node)
        logic.SetMRMLScene(self.scene)
        logic.ResizeSliceNode(*VIEW_SIZE)

    def close(self) -> None:
        """Let go of the scene, so that both can be deleted."""
        self.scene.RemoveObserver(self._tag)
        for window in self._windows.values():
            window.close()
        self._windows.clear()
        for logic in list(self._slice_logics()):
            logic.SetMRMLScene(None)
        for logic in (self._layouts, self._links, self._colors, self.logic):
            logic.SetMRMLScene(None)

    def _slice_logics(self) -> Iterator:
        logics = self.logic.GetSliceLogics()
        return (logics.GetItemAsObject(number) for number in range(logics.GetNumberOfItems()))

    def slice_logic(self, name: str):
        """Return the slice logic of a view."""
        return self.logic.GetSliceLogicByLayoutName(name)

    def slice_node(self, name: str):
        """Return the slice node of a view."""
        return self.slice_logic(name).GetSliceNode()

    def composite(self, name: str):
        """Return the slice composite node of a view."""
        return self.slice_logic(name).GetSliceCompositeNode()

    def views_shown(self) -> list[str]:
        """Return the names of the slice views in the current layout."""
        nodes = self._layouts.GetViewNodes()
        views = (nodes.GetItemAsObject(number) for number in range(nodes.GetNumberOfItems()))
        return [view.GetLayoutName() for view in views if view.IsA("vtkMRMLSliceNode")]

    def resize(self, width: int, height: int) -> None:
        """Give all views in the current layout a size in pixels, as a window does that is shown or resized."""
        for name in self.views_shown():
            self.slice_logic(name).ResizeSliceNode(width, height)

    @contextmanager
    def dragging(self, name: str, flag: int) -> Iterator:
        """A user changes what `flag` (`vtkMRMLSliceNode.InteractionFlagType`) says in a view; gives its slice node."""
        logic = self.slice_logic(name)
        logic.StartSliceNodeInteraction(flag)
        yield logic.GetSliceNode()
        logic.EndSliceNodeInteraction()

    def picture(self, name: str) -> Picture:
        """Draw a view: rows from the top, columns, red-green-blue."""
        if name not in self._windows:
            self._windows[name] = SliceWindow(self.slice_logic(name), self.logic)
        return self._windows[name].picture()

    def layout_picture(self) -> Picture:
        """Draw the slice views of the current layout beside each other."""
        return np.concatenate([self.picture(name) for name in self.views_shown()], axis=1)


class SliceWindow:
    """Draws one slice view with the displayable managers of the application."""

    def __init__(self, logic, application_logic) -> None:
        import slicer
        import vtk

        os.environ.update(WINDOW_CLASS)
        self._logic = logic
        self._renderer, self._window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.Initialize()
        self._mapper, self._image = vtk.vtkImageMapper(), vtk.vtkActor2D()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._image.SetMapper(self._mapper)
        self._image.GetProperty().SetDisplayLocationToBackground()
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application_logic)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(factory, self._renderer)
        self._managers.SetMRMLDisplayableNode(logic.GetSliceNode())

    def picture(self) -> Picture:
        """Draw the view at the size of its slice node."""
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        self._window.SetSize(*self._logic.GetSliceNode().GetDimensions()[:2])
        layers = self._logic.GetImageDataConnection()
        self._renderer.RemoveViewProp(self._image)
        if layers is not None:
            self._mapper.SetInputConnection(layers)
            self._renderer.AddViewProp(self._image)
        self._interactor.Render()
        reader = vtk.vtkWindowToImageFilter()
        reader.SetInput(self._window)
        reader.ReadFrontBufferOff()
        reader.Update()
        columns, rows, _ = reader.GetOutput().GetDimensions()
        pixels = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
        return pixels.reshape(rows, columns, -1)[::-1].copy()

    def close(self) -> None:
        """Let go of the view's nodes and of the graphics context."""
        self._managers.SetMRMLDisplayableNode(None)
        self._mapper.RemoveAllInputConnections(0)
        self._window.Finalize()
