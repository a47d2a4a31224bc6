"""Lumen, wall and narrowing of vessels, measured to a fraction of a pixel from masks or along a line.

NumPy and SciPy only, since these run inside 3D Slicer too. Every figure is a `Measure`: value, standard uncertainty and
unit, or the reason why it could not be measured. Places are rows and columns in pixels, for drawing.
Research use only; nothing here is a diagnosis.
"""

from Speckle2SelfLogic.geometry.caliper import Caliper, Structure, refine_line
from Speckle2SelfLogic.geometry.cine import (
    CineMeasurement,
    DiameterCurve,
    FrameMeasurement,
    View,
    diameter_curve,
    measure_cine,
    measure_frame,
)
from Speckle2SelfLogic.geometry.far_wall import FarWall
from Speckle2SelfLogic.geometry.longitudinal import LongitudinalMeasurement, measure_longitudinal
from Speckle2SelfLogic.geometry.measures import SEGMENTATION_PX, Line, Measure, Point, Scale
from Speckle2SelfLogic.geometry.narrowing import AreaStenosis, Reference, area_stenosis
from Speckle2SelfLogic.geometry.stenosis import Stenosis
from Speckle2SelfLogic.geometry.transverse import TransverseMeasurement, WallThickness, measure_transverse

__all__ = [
    "SEGMENTATION_PX",
    "AreaStenosis",
    "Caliper",
    "CineMeasurement",
    "DiameterCurve",
    "FarWall",
    "FrameMeasurement",
    "Line",
    "LongitudinalMeasurement",
    "Measure",
    "Point",
    "Reference",
    "Scale",
    "Stenosis",
    "Structure",
    "TransverseMeasurement",
    "View",
    "WallThickness",
    "area_stenosis",
    "diameter_curve",
    "measure_cine",
    "measure_frame",
    "measure_longitudinal",
    "measure_transverse",
    "refine_line",
]
