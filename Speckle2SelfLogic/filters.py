"""Classical despecklers under one signature, and the table of them that users choose from.

A filter is a function ``f(frame_yx, *, parameters) -> frame_yx`` on float32 grey values in 0..1, any size from 1x1 up.
Defaults are set for log-compressed B-mode with speckle grains of 3 to 10 pixels, such as a carotid frame.
Those that libraries have are wrapped here; the others are in `statistical_filters`.

BM3D (Dabov, Foi, Katkovnik and Egiazarian, IEEE TIP 16(8), 2007) is left out: the packages ``bm3d`` and ``bm4d`` are
for non-commercial use only, ``pybm3d`` is under the GPL and was last released for Python 3.6, OpenCV's sits behind the
non-free switch that its wheels are built without, and the torch version in ``deepinv`` brings torchvision with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import SimpleITK
from scipy import ndimage

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.statistical_filters import (
    Frame,
    Values,
    as_frame,
    checked_frame,
    estimated_noise,
    frost,
    kuan,
    lee,
    obnlm,
    require_count,
    require_odd,
    require_positive,
    srad,
)

__all__ = [
    "FILTERS",
    "ClassicalFilter",
    "classical_filter",
    "curvature_diffusion",
    "frost",
    "kuan",
    "lee",
    "median",
    "non_local_means",
    "obnlm",
    "srad",
    "total_variation",
    "wavelet",
]


MOST_LEVELS = 8
"""A wavelet filter at level 8 already spans two thousand pixels."""


def median(frame_yx: Frame, *, window_px: int = 7) -> Frame:
    """Median of a square window (Tukey, 1977; SciPy); edges are mirrored.

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The result commutes with any monotone grey map, so compression does not matter.
    window_px
        Side of the window, odd.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range.
    """
    return as_frame(ndimage.median_filter(checked_frame(frame_yx), require_odd("window_px", window_px)))


def non_local_means(
    frame_yx: Frame, *, patch_px: int = 7, search_radius_px: int = 11, smoothing: float | None = None
) -> Frame:
    """Non-local means (Buades, Coll and Morel, CVPR 2005; scikit-image, fast mode of Darbon et al., ISBI 2008).

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The noise model is additive, which suits log-compressed B-mode better than the envelope.
    patch_px
        Side of the compared patches, odd.
    search_radius_px
        How far away along each axis a patch may lie.
    smoothing
        Filtering strength h in grey values; None takes 0.9 times the frame's speckle standard deviation.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range, or scikit-image is not installed.
    """
    frame = checked_frame(frame_yx)
    require_odd("patch_px", patch_px)
    require_count("search_radius_px", search_radius_px)
    strength = _given_or_measured("smoothing", smoothing, frame, 0.9)
    restoration = _restoration()
    if strength == 0:
        return as_frame(frame)
    restored = restoration.denoise_nl_means(
        frame, patch_size=patch_px, patch_distance=search_radius_px, h=strength, fast_mode=True, preserve_range=True
    )
    # scikit-image drops axes of length 1.
    return as_frame(np.reshape(restored, frame.shape))


def total_variation(frame_yx: Frame, *, weight: float | None = None, iterations: int = 200) -> Frame:
    """Total variation denoising (Rudin, Osher and Fatemi, Physica D 60, 1992).

    Minimises ``sum |grad u| + sum (u - frame)^2 / (2 weight)`` by the dual scheme of Chambolle (JMIV 20, 2004),
    as scikit-image has it.

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The noise model is additive, which suits log-compressed B-mode better than the envelope.
    weight
        Denoising strength; None takes 2.3 times the frame's speckle standard deviation.
    iterations
        Most iterations of the scheme.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range, or scikit-image is not installed.
    """
    frame = checked_frame(frame_yx)
    require_count("iterations", iterations)
    strength = _given_or_measured("weight", weight, frame, 2.3)
    restoration = _restoration()
    if strength == 0:
        return as_frame(frame)
    return as_frame(restoration.denoise_tv_chambolle(frame, weight=strength, max_num_iter=iterations))


def wavelet(
    frame_yx: Frame, *, levels: int = 4, noise_std: float | None = None, shifts: int = 4, wavelet_name: str = "sym4"
) -> Frame:
    """BayesShrink wavelet thresholding (Chang, Yu and Vetterli, IEEE TIP 9(9), 2000; scikit-image and PyWavelets).

    Soft threshold ``noise_std^2 / signal_std`` in each sub-band. The result is averaged over shifted copies of
    the frame (cycle spinning, Coifman and Donoho 1995), which takes away the block pattern.

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The noise model is additive, which suits log-compressed B-mode better than the envelope.
    levels
        Number of decomposition levels, at most 8; speckle grains of 2^k pixels are reached at level k + 1.
    noise_std
        Standard deviation of the noise in grey values; None takes 1.35 times the frame's speckle standard deviation.
        The usual estimate from the finest sub-band would be far too small, because speckle is correlated.
    shifts
        Number of shifts, along the diagonal.
    wavelet_name
        A discrete wavelet of PyWavelets.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range, or scikit-image or PyWavelets is not installed.
    """
    frame = checked_frame(frame_yx)
    if require_count("levels", levels) > MOST_LEVELS:
        message = f"levels must be at most {MOST_LEVELS}, but is {levels}."
        raise SettingsError(message)
    require_count("shifts", shifts)
    strength = _given_or_measured("noise_std", noise_std, frame, 1.35)
    restoration = _restoration()
    # Room for every level's filter, and so that a shift never wraps the frame's own pixels round.
    least = _filter_length(wavelet_name) * 2**levels
    padding = [(shifts, shifts + max(0, least - length)) for length in frame.shape]
    padded = np.pad(frame, padding, mode="symmetric")
    if strength == 0:
        return as_frame(frame)
    total = np.zeros_like(padded)
    for shift in range(shifts):
        moved = np.roll(padded, (shift, shift), axis=(0, 1))
        clean = restoration.denoise_wavelet(
            moved, sigma=strength, wavelet=wavelet_name, method="BayesShrink", mode="soft", wavelet_levels=levels
        )
        total += np.roll(clean, (-shift, -shift), axis=(0, 1))
    height, width = frame.shape
    return as_frame(total[shifts:, shifts:][:height, :width] / shifts)


def curvature_diffusion(
    frame_yx: Frame, *, iterations: int = 30, conductance: float = 3.0, time_step: float = 0.125
) -> Frame:
    """Curvature anisotropic diffusion: level sets move by curvature, held back at edges (Whitaker and Xue, ICIP 2001).

    ITK's filter. Its edge scale follows the frame's mean gradient, so a gain changes next to nothing.

    Parameters
    ----------
    frame_yx
        Grey values 0..1. The noise model is additive, which suits log-compressed B-mode better than the envelope.
    iterations, time_step
        Number of steps and their length; at most 0.125, where the explicit scheme is still stable.
    conductance
        How strong an edge must be to stop the diffusion, in multiples of the frame's mean gradient.

    Raises
    ------
    SettingsError, UnsupportedImageError
        If a parameter or the frame is out of range.
    """
    frame = checked_frame(frame_yx)
    require_count("iterations", iterations)
    require_positive("conductance", conductance)
    if require_positive("time_step", time_step) > 0.125:
        message = f"time_step must be at most 0.125 for a stable diffusion, but is {time_step!r}."
        raise SettingsError(message)
    image = SimpleITK.GetImageFromArray(frame)
    diffused = SimpleITK.CurvatureAnisotropicDiffusion(image, time_step, conductance, 1, iterations)
    return as_frame(SimpleITK.GetArrayFromImage(diffused))


def _given_or_measured(name: str, given: float | None, frame: Values, factor: float) -> float:
    """Return the given strength, or the frame's additive noise times a factor that was set by eye on carotid frames."""
    return factor * estimated_noise(frame, gamma=0) if given is None else require_positive(name, given)


def _restoration() -> Any:  # noqa: ANN401 - a module without type information
    try:
        from skimage import restoration
    except ImportError as error:
        message = 'This filter needs scikit-image; install it with: pip install "speckle2self[filters]".'
        raise SettingsError(message) from error
    return restoration


def _filter_length(wavelet_name: str) -> int:
    try:
        import pywt
    except ImportError as error:
        message = 'The wavelet filter needs PyWavelets; install it with: pip install "speckle2self[filters]".'
        raise SettingsError(message) from error
    if wavelet_name not in pywt.wavelist(kind="discrete"):
        message = f"wavelet_name must be a discrete wavelet of PyWavelets such as 'sym4', but is {wavelet_name!r}."
        raise SettingsError(message)
    return int(pywt.Wavelet(wavelet_name).dec_len)


@dataclass(frozen=True)
class ClassicalFilter:
    """A despeckler with its parameters: what `FILTERS` holds and `classical_filter` returns."""

    name: str
    """Short key, as typed on the command line."""
    title: str
    """Name for people."""
    citation: str
    """Where the method was published."""
    function: Callable[..., Frame]
    """``f(frame_yx, **parameters)``."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Every parameter of the function with the value that it will get; read-only."""
    packages: tuple[str, ...] = ()
    """Packages of PyPI that the function needs beside those of the core."""

    def __post_init__(self) -> None:
        defaults = {
            p.name: p.default for p in inspect.signature(self.function).parameters.values() if p.kind == p.KEYWORD_ONLY
        }
        unknown = sorted(set(self.parameters) - set(defaults))
        if unknown:
            message = f"Filter '{self.name}' has no parameter '{unknown[0]}'; it has {', '.join(defaults)}."
            raise SettingsError(message)
        object.__setattr__(self, "parameters", MappingProxyType({**defaults, **self.parameters}))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and other processes need the filter too.
        return type(self), (
            self.name,
            self.title,
            self.citation,
            self.function,
            dict(self.parameters),
            self.packages,
        )

    def despeckle(self, frames_nyx: Frame) -> Frame:
        """Despeckle a stack frame by frame.

        Parameters
        ----------
        frames_nyx
            Float32 grey values 0..1 of shape (frame, y, x).

        Returns
        -------
        numpy.ndarray
            A new stack of the same shape, float32 in 0..1.

        Raises
        ------
        SettingsError, UnsupportedImageError
            If a parameter or a frame is out of range, or the array is not a stack.
        """
        if frames_nyx.ndim != 3:
            message = f"Expected a stack of frames with axes (frame, y, x), but the array has shape {frames_nyx.shape}."
            raise UnsupportedImageError(message)
        output = np.empty(frames_nyx.shape, np.float32)
        for number, frame_yx in enumerate(frames_nyx):
            output[number] = self.function(frame_yx, **self.parameters)
        return output


def _table(filters: Iterable[ClassicalFilter]) -> Mapping[str, ClassicalFilter]:
    return MappingProxyType({each.name: each for each in filters})


FILTERS: Mapping[str, ClassicalFilter] = _table(
    (
        ClassicalFilter("median", "Median", "Tukey, Exploratory Data Analysis, 1977", median),
        ClassicalFilter("lee", "Lee", "Lee, IEEE TPAMI 2(2):165-168, 1980", lee),
        ClassicalFilter("frost", "Frost", "Frost et al., IEEE TPAMI 4(2):157-166, 1982", frost),
        ClassicalFilter("kuan", "Kuan", "Kuan et al., IEEE TPAMI 7(2):165-177, 1985", kuan),
        ClassicalFilter(
            "srad", "Speckle reducing anisotropic diffusion", "Yu and Acton, IEEE TIP 11(11):1260-1270, 2002", srad
        ),
        ClassicalFilter(
            "nlm", "Non-local means", "Buades et al., CVPR 2:60-65, 2005", non_local_means, packages=("scikit-image",)
        ),
        ClassicalFilter(
            "obnlm", "Optimised Bayesian non-local means", "Coupe et al., IEEE TIP 18(10):2221-2229, 2009", obnlm
        ),
        ClassicalFilter(
            "tv",
            "Total variation",
            "Rudin et al., Physica D 60:259-268, 1992; Chambolle, J. Math. Imaging Vis. 20:89-97, 2004",
            total_variation,
            packages=("scikit-image",),
        ),
        ClassicalFilter(
            "wavelet",
            "Wavelet BayesShrink",
            "Chang et al., IEEE TIP 9(9):1532-1546, 2000",
            wavelet,
            packages=("scikit-image", "PyWavelets"),
        ),
        ClassicalFilter(
            "curvature",
            "Curvature anisotropic diffusion",
            "Whitaker and Xue, ICIP 1:105-108, 2001",
            curvature_diffusion,
        ),
    )
)
"""Every classical filter with its default parameters, by name."""


def classical_filter(name: str, **parameters: Any) -> ClassicalFilter:  # noqa: ANN401 - each filter has its own
    """Return a filter of `FILTERS` with some of its parameters changed.

    Raises
    ------
    SettingsError
        If no filter has that name, or it has no such parameter. Values are checked when a frame is filtered.
    """
    if name not in FILTERS:
        message = f"There is no classical filter '{name}'; choose one of {', '.join(FILTERS)}."
        raise SettingsError(message)
    chosen = FILTERS[name]
    return replace(chosen, parameters={**chosen.parameters, **parameters})
