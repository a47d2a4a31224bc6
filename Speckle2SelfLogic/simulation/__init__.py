"""Simulated ultrasound with known truth: phantoms, speckle formation, linear and fan geometry."""

from Speckle2SelfLogic.simulation.formation import Compression, ImagingSettings, form_frame
from Speckle2SelfLogic.simulation.phantoms import PHANTOMS
from Speckle2SelfLogic.simulation.simulator import Simulation, simulate

__all__ = ["PHANTOMS", "Compression", "ImagingSettings", "Simulation", "form_frame", "simulate"]
