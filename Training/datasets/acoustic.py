"""Image formation by an acoustic simulator that is not ours: PyMUST, the Python port of Garcia's MUST toolbox.

Point scatterers of random place and sign, whose squared amplitude is the echogenicity, are insonified by tilted plane
waves of a linear array (SIMUS: Shahriari and Garcia 2018, Phys Med Biol 63:205011), received by all elements,
demodulated, beamformed by delay and sum (DASMTX: Perrot et al. 2021, Ultrasonics 111:106309), compounded coherently and
compressed. Nothing of `Speckle2SelfLogic.simulation.formation` takes part but the compression curve.

The truth is again an expectation. The response to a single point is simulated at a grid of places; the mean power at a
pixel is the echogenicity convolved with the squared magnitude of these responses, interpolated between the places. The
expected grey follows from it as for fully developed speckle. What this leaves out: response changes between the places
that are not linear, echoes further than a few millimetres beside a point at the border, and the finite number of
scatterers per resolution cell (about six).

PyMUST (LGPL-3.0) is an optional extra: ``pip install "pymust>=0.1.9"``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.simulation.scene import NO_REFLECTOR_DB, Rng, Scene
from Speckle2SelfLogic.simulation.shapes import Float32

_DARKEST_DB = -55.0
_NODES_Y, _NODES_X = np.linspace(0, 1, 5), np.linspace(0, 1, 7)
_RESPONSE_MARGIN_MM = 2.7
_SOUND_M_PER_S = 1540.0


@dataclass(frozen=True)
class AcousticScanner:
    """A linear array above a square field of view, and what is done with its signals."""

    frequency_mhz: float = 5.0
    angles_deg: tuple[float, ...] = (-8.0, 0.0, 8.0)
    elements: int = 64
    pitch_mm: float = 0.3
    bandwidth_percent: float = 75.0
    attenuation_db_cm_mhz: float = 0.2
    f_number: float = 1.5
    side_mm: float = 19.2
    top_mm: float = 4.0
    record_margin_mm: float = 4.0
    """How far beyond the field of view echoes are recorded. PyMUST scales amplitudes by the length of the record."""
    scatterers_per_mm2: float = 45.0
    size_px: int = 256

    @property
    def pixel_mm(self) -> float:
        """Pixel spacing."""
        return self.side_mm / self.size_px

    @property
    def margin_px(self) -> int:
        """Tissue beyond the field of view, 0.9 mm."""
        return int(np.ceil(0.9 / self.pixel_mm))


def pymust_module() -> ModuleType:
    """Import PyMUST.

    Raises
    ------
    SettingsError
        If it is not installed.
    """
    try:
        import pymust
    except ImportError as error:
        message = "The acoustic set needs PyMUST: install it with 'pip install \"pymust>=0.1.9\"'."
        raise SettingsError(message) from error
    return pymust  # type: ignore[no-any-return]


def scattered_power(scene: Scene, scanner: AcousticScanner) -> npt.NDArray[np.float64]:
    """Echogenicity and reflectors as power (Y, X) with the margin around; 0 where it is 55 dB below the strongest."""
    reflected = np.where(scene.specular_db > NO_REFLECTOR_DB, 10 ** (scene.specular_db / 10), 0)
    power = np.pad(10 ** (scene.echogenicity_db.astype(np.float64) / 10) + reflected, scanner.margin_px, "symmetric")
    return np.where(power > power.max() * 10 ** (_DARKEST_DB / 10), power, 0)


def compounded_frame(
    power_yx: npt.NDArray[np.float64], scanner: AcousticScanner, rng: Rng
) -> npt.NDArray[np.complex64]:
    """Beamformed signal (Y, X) of one draw of scatterers from the power map of `scattered_power`."""
    side_mm = power_yx.shape[0] * scanner.pixel_mm
    count = round(scanner.scatterers_per_mm2 * side_mm**2)
    rows, columns = rng.uniform(0, power_yx.shape[0], (2, count))
    signs = rng.choice((-1.0, 1.0), count)  # of one size: speckle develops fully with fewer scatterers
    amplitude = signs * np.sqrt(power_yx[rows.astype(int), columns.astype(int)])
    seen = amplitude != 0
    return beamformed(rows[seen], columns[seen], amplitude[seen], scanner)


def mean_power(power_yx: npt.NDArray[np.float64], scanner: AcousticScanner) -> npt.NDArray[np.float64]:
    """Return the expected power (Y, X) of `compounded_frame` within the field of view."""
    size, margin = scanner.size_px, scanner.margin_px
    wide = _widened(scanner)
    border = (wide.size_px - size) // 2
    hats_y, hats_x = (_hat_weights(nodes, size, margin) for nodes in (_NODES_Y, _NODES_X))
    length = fft.next_fast_len(power_yx.shape[0] + wide.size_px)
    total = np.zeros((length, length // 2 + 1), np.complex128)
    for (row, column), response in point_responses(scanner).items():
        weighted = power_yx * hats_y[row][:, None] * hats_x[column][None]
        place = [-(int(nodes[k] * (size - 1)) + border) for nodes, k in ((_NODES_Y, row), (_NODES_X, column))]
        centred = np.roll(np.pad(response, (0, length - wide.size_px)), place, (0, 1))  # its point at the origin
        total += fft.rfft2(weighted, (length, length)) * fft.rfft2(centred)
    inside = slice(margin, margin + size)
    density = scanner.scatterers_per_mm2 * scanner.pixel_mm**2
    return density * np.maximum(fft.irfft2(total, (length, length))[inside, inside], 0)


@lru_cache(maxsize=3)
def point_responses(scanner: AcousticScanner) -> dict[tuple[int, int], npt.NDArray[np.float64]]:
    """Power (Y, X) of the answer to a single unit point at each node, in a field of view widened by 2.7 mm."""
    wide = _widened(scanner)
    responses = {}
    for (row, share_y), (column, share_x) in product(enumerate(_NODES_Y), enumerate(_NODES_X)):
        first = (wide.size_px - scanner.size_px) // 2 + wide.margin_px + 0.5
        y, x = (np.array([int(share * (scanner.size_px - 1)) + first]) for share in (share_y, share_x))
        responses[row, column] = np.abs(beamformed(y, x, np.ones(1), wide)).astype(np.float64) ** 2
    return responses


def _widened(scanner: AcousticScanner) -> AcousticScanner:
    """Return the same array above a field of view that reaches further on all sides."""
    border = int(_RESPONSE_MARGIN_MM / scanner.pixel_mm)
    return replace(
        scanner,
        size_px=scanner.size_px + 2 * border,
        side_mm=scanner.side_mm + 2 * border * scanner.pixel_mm,
        top_mm=scanner.top_mm - border * scanner.pixel_mm,
        record_margin_mm=scanner.record_margin_mm - border * scanner.pixel_mm,
    )


def beamformed(
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    amplitude: npt.NDArray[np.float64],
    scanner: AcousticScanner,
) -> npt.NDArray[np.complex64]:
    """Signal (Y, X) of scatterers; places are in pixels from the upper left edge of the field with its margin."""
    must = pymust_module()
    parameters, spacing_m = _parameters(must, scanner), scanner.pixel_mm * 1e-3
    left_m, top_m = -scanner.side_mm * 0.5e-3, scanner.top_mm * 1e-3
    x = left_m + (columns - scanner.margin_px) * spacing_m
    z = top_m + (rows - scanner.margin_px) * spacing_m
    corner_m = scanner.record_margin_mm * 1e-3
    farthest = (np.array([left_m - corner_m, corner_m - left_m]), np.full(2, top_m + scanner.side_mm * 1e-3 + corner_m))
    options = must.utils.Options()
    options.dBThresh, options.ElementSplitting, options.WaitBar = -40, 1, False
    frame = np.zeros((scanner.size_px, scanner.size_px), np.complex64)
    for angle in range(len(scanner.angles_deg)):
        signals: Any = 0
        for start in range(0, x.size, 1000):  # chunks that stay in the processor's cache are three times faster
            part = slice(start, start + 1000)
            # Silent scatterers in the far corners make all records equally long.
            points = [np.concatenate(pair) for pair in zip((x[part], z[part]), farthest, strict=True)]
            strength = np.concatenate([amplitude[part], np.zeros(2)])
            delays = must.txdelayPlane(parameters, np.deg2rad(scanner.angles_deg[angle]))
            signals = signals + must.simus(*points, strength, delays, parameters, options)[0]
        demodulated = must.rf2iq(signals, parameters)
        matrix = _beamformer(scanner, angle, demodulated.shape)
        frame += (matrix @ demodulated.astype(np.complex64).ravel(order="F")).reshape(frame.shape, order="F")
    return frame


@lru_cache(maxsize=9)
def _beamformer(scanner: AcousticScanner, angle: int, samples: tuple[int, int]) -> Any:  # noqa: ANN401 - sparse matrix
    must = pymust_module()
    parameters = _parameters(must, scanner)
    delays = must.txdelayPlane(parameters, np.deg2rad(scanner.angles_deg[angle]))
    centres_m = (np.arange(scanner.size_px) + 0.5) * scanner.pixel_mm * 1e-3
    x, z = np.meshgrid(centres_m - scanner.side_mm * 0.5e-3, centres_m + scanner.top_mm * 1e-3)
    return must.dasmtx(1j * np.array(samples), x, z, delays, parameters).astype(np.complex64)


def _parameters(must: ModuleType, scanner: AcousticScanner) -> Any:  # noqa: ANN401 - a structure of PyMUST
    """Array and medium in the units of PyMUST (m, Hz)."""
    parameters = must.utils.Param()
    parameters.fc = scanner.frequency_mhz * 1e6
    parameters.pitch = scanner.pitch_mm * 1e-3
    parameters.kerf = 0.1 * parameters.pitch
    parameters.width = parameters.pitch - parameters.kerf
    parameters.Nelements = scanner.elements
    parameters.bandwidth = scanner.bandwidth_percent
    parameters.radius = np.inf
    parameters.c = _SOUND_M_PER_S
    parameters.fs = 4 * parameters.fc
    parameters.attenuation = scanner.attenuation_db_cm_mhz
    parameters.fnumber = scanner.f_number
    return parameters


def _hat_weights(nodes: npt.NDArray[np.float64], size: int, margin: int) -> Float32:
    """Weight of each node (node, pixel): linear between nodes, constant beyond the outer ones, 1 in sum."""
    pixels = np.arange(-margin, size + margin)
    return np.stack([np.interp(pixels, nodes * (size - 1), unit) for unit in np.eye(nodes.size)]).astype(np.float32)
