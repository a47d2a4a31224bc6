"""Segmentations and transforms on real MRML."""

import numpy as np

SMALL_TURN = np.array([[0.96, -0.28, 0.0, 0.31], [0.28, 0.96, 0.0, -0.17], [0.0, 0.0, 1.0, 0.23], [0.0, 0.0, 0.0, 1.0]])
SHEAR_AND_SCALE = np.array([[1.1, 0.2, 0.0, 0.13], [0.0, 0.9, 0.1, 0.07], [0.0, 0.0, 1.2, -0.11], [0.0, 0.0, 0.0, 1.0]])


def ready_for_segmentations(scene):
    """Register conversions between labelmaps and surfaces, as the application does at its start."""
    import slicer

    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    scene.segmentations_logic = logic  # kept alive with the scene


def add_segmentation(scene, masks, ijk_to_ras, name="Regions"):
    """Add a segmentation with a segment for each named mask (Z, Y, X) on a grid."""
    ready_for_segmentations(scene)
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    for segment_name, mask in masks.items():
        segment_id = segmentation.GetSegmentation().AddEmptySegment(segment_name, segment_name)
        draw(segmentation, segment_id, mask, ijk_to_ras)
    return segmentation


def draw(segmentation, segment_id, mask, ijk_to_ras):
    """Replace the labelmap of a segment, as a segment editor does."""
    import slicer
    import slicer.util
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    drawn = slicer.vtkOrientedImageData()
    drawn.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    drawn.SetDimensions(mask.shape[::-1])
    drawn.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(drawn.GetPointData().GetScalars())[:] = mask.ravel()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(drawn, segmentation, segment_id, logic.MODE_REPLACE)


def add_surface(scene, centre_ras, radius_mm, name="Surface"):
    """Add a segmentation that holds a ball as a closed surface and nothing else."""
    import slicer
    import vtk

    ready_for_segmentations(scene)
    ball = vtk.vtkSphereSource()
    ball.SetCenter(*centre_ras)
    ball.SetRadius(radius_mm)
    ball.SetThetaResolution(90)
    ball.SetPhiResolution(90)
    ball.Update()
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    surface = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    segmentation.GetSegmentation().SetSourceRepresentationName(surface)
    segmentation.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "Ball", [1.0, 0.0, 0.0])
    return segmentation


def add_transform(scene, matrix, *children, name="Probe"):
    """Add a linear transform and put nodes under it."""
    import slicer
    import slicer.util

    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    for child in children:
        child.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def add_warp(scene, *children):
    """Add a transform that is not linear and put nodes under it."""
    import vtk

    warp = vtk.vtkThinPlateSplineTransform()
    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for place in ((0, 0, 0), (10, 0, 0), (0, 10, 0), (0, 0, 10), (10, 10, 10)):
        points.InsertNextPoint(place)
        moved.InsertNextPoint(place[0], place[1], place[2] + 0.02 * place[0] * place[1])
    warp.SetSourceLandmarks(points)
    warp.SetTargetLandmarks(moved)
    warp.SetBasisToR()
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    transform.SetAndObserveTransformToParent(warp)
    for child in children:
        child.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def about(ijk_to_ras, shape, matrix):
    """Return a transform that moves the middle of a grid by the matrix's translation only."""
    centre = (ijk_to_ras @ [*(np.array(shape[::-1]) / 2), 1.0])[:3]
    moved = np.array(matrix)
    moved[:3, 3] += centre - matrix[:3, :3] @ centre
    return moved


def places(ijk_to_ras, shape):
    """Return the positions (Z, Y, X, 3) of all voxel centres."""
    k, j, i = np.indices(shape)
    return np.stack((i, j, k, np.ones(shape)), -1) @ ijk_to_ras.T[:, :3]


def looked_up(mask, ijk_to_ras, places_ras):
    """Return which places lie in voxels of a mask."""
    homogeneous = np.concatenate((places_ras, np.ones((*places_ras.shape[:-1], 1))), -1)
    kji = np.rint(homogeneous @ np.linalg.inv(ijk_to_ras).T)[..., 2::-1].astype(int)
    is_on_grid = ((kji >= 0) & (kji < mask.shape)).all(-1)
    return is_on_grid & mask[tuple(np.where(is_on_grid[..., None], kji, 0).T)].T
