"""`Denoiser`: an image goes in, the same image without speckle comes out, and a report of what was done.

Frames are processed one by one along a chosen axis (a cine by time). Outside the sector and on coloured overlays
pixels keep their values. Frames without content are left alone, since there is nothing to recover in them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from Speckle2SelfLogic.errors import CancelledError, GeometryError, SettingsError, UnsupportedImageError
from Speckle2SelfLogic.frames import SLICE_AXES, GreyFrames, as_frames, frames_view, grey_frame, grey_range_of
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.intensity import Float32, GreyRange, Pixels
from Speckle2SelfLogic.runtime import FrameDespeckler, method_domain
from Speckle2SelfLogic.sector import Sector, find_overlay, find_sector, without_surround

Mask = npt.NDArray[np.bool_]
ProgressCallback = Callable[[int, int], None]
"""Called with the number of finished frames and their total."""

LOWEST_CONTRAST = 4 / 255
"""Frames whose grey spans less than this between the 1 % and the 99 % quantile are returned unchanged."""
OUTSIDE_REGION = "outside the region"
PIXELS_PER_BATCH = 2 * 512 * 512


@dataclass(frozen=True)
class DenoiseSettings:
    """What to do. The defaults are meant for everybody.

    Parameters
    ----------
    strength
        0 returns the input bit for bit, 1 the method's full answer; between, a weighted mean of both.
    slice_axis
        For a volume, the axis along which slices are taken: ``"z"`` (also ``"auto"``), ``"y"`` or ``"x"``.
        A cine always goes frame by frame.
    batch_frames
        Frames that are processed at once; left out, a number that fits the frame size.
    frames
        First and last-plus-one frame (or slice) to despeckle; all others keep their values. Left out: all.
    keep_overlays, keep_outside_sector
        Whether coloured overlays (calipers, Doppler, text), and everything outside the sector, keep their values.
    """

    strength: float = 1.0
    slice_axis: str = "auto"
    batch_frames: int | None = None
    frames: tuple[int | None, int | None] = (None, None)
    keep_overlays: bool = True
    keep_outside_sector: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            message = f"The strength must be between 0 and 1, but is {self.strength}."
            raise SettingsError(message)
        if self.slice_axis not in SLICE_AXES:
            message = f"The slice axis must be one of {', '.join(SLICE_AXES)}, but is '{self.slice_axis}'."
            raise SettingsError(message)
        if self.batch_frames is not None and self.batch_frames < 1:
            message = f"The number of frames per batch must be at least 1, but is {self.batch_frames}."
            raise SettingsError(message)


class SkippedFrame(NamedTuple):
    """A frame that was returned unchanged, and why."""

    frame: int
    reason: str


@dataclass
class DenoiseReport:
    """What was done to an image."""

    method: str
    strength: float
    frames: int
    processed: int = 0
    skipped: list[SkippedFrame] = field(default_factory=list)
    black: float = 0.0
    white: float = 0.0
    clipped_low: int = 0
    clipped_high: int = 0
    overlay_pixels: int = 0
    sector: str = ""
    sector_share: float = 1.0
    seconds: float = 0.0
    method_seconds: float = 0.0
    """Time in the method alone, without finding the sector and restoring pixels."""
    runtime: dict[str, Any] = field(default_factory=dict)
    """What computed a network's answers: runtime, version, precision, threads, difference from the reference."""
    messages: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {**asdict(self), "skipped": [frame._asdict() for frame in self.skipped]}


class ImageContext(NamedTuple):
    """What is found once for all frames of an image, and can be used again for frames that belong to it."""

    grey_range: GreyRange
    sector: Sector


class Despeckled(NamedTuple):
    """The result: a new image with the geometry and pixel type of the input, and the report."""

    image: UltrasoundImage
    report: DenoiseReport


@dataclass(frozen=True)
class Denoiser:
    """Apply a method (a network or a classical filter) to images."""

    method: FrameDespeckler
    settings: DenoiseSettings = DenoiseSettings()

    def context_of(self, image: UltrasoundImage) -> ImageContext:
        """Find grey range and sector of an image. Raises what `GreyRange.of` and `frames_view` raise."""
        grey_range = grey_range_of(image)
        return ImageContext(grey_range, self._sector(frames_view(image, self.settings.slice_axis), grey_range))

    def run(
        self,
        image: UltrasoundImage,
        progress: ProgressCallback | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        *,
        context: ImageContext | None = None,
        region: Mask | None = None,
    ) -> Despeckled:
        """Despeckle an image. The input is not modified; equal inputs give equal outputs.

        Parameters
        ----------
        image
            The frame, cine or volume.
        progress, is_cancelled
            Called after each batch, and before it.
        context
            Grey range and sector, if they are known already: those of a whole cine for one of its frames, or of the
            first frame of a live image. Left out: found in this image.
        region
            Pixels that may change, a boolean array with the shape of the image without colour; all others keep
            their values, and so do whole frames outside of it. Left out: every pixel.

        Raises
        ------
        UnsupportedImageError
            For non-finite values, pixels that are not numbers, or a linear envelope (compress it first); and if the
            method's answer is no image of the same size or holds non-finite values.
        GeometryError
            If the region or the sector of the context has another shape than the image.
        SettingsError
            If settings do not fit the image, or the region holds no pixel.
        CancelledError
            As soon as ``is_cancelled`` returns true, at the latest after the current batch.
        """
        started = time.perf_counter()
        frames = frames_view(image, self.settings.slice_axis)
        _check_domain(self.method, image)
        report = DenoiseReport(self.method.name, self.settings.strength, len(frames))
        earlier_messages = len(getattr(self.method, "messages", []))
        output = np.array(image.pixels)  # a writeable copy
        if self.settings.strength > 0:  # at 0 no value is looked at, so that any pixels come back bit for bit
            context = context or self.context_of(image)
            region_frames = None if region is None else self._region_frames(region, image)
            _check_shapes(frames, context.sector, region_frames)
            report.black, report.white = context.grey_range.black, context.grey_range.white
            report.sector, report.sector_share = context.sector.reason, float(context.sector.share)
            output_frames = as_frames(output, image, self.settings.slice_axis)
            self._fill(frames, output_frames, context, region_frames, report, progress, is_cancelled)
        report.seconds = time.perf_counter() - started
        report.messages += getattr(self.method, "messages", [])[earlier_messages:]
        report.messages += getattr(self.method, "notes", ())
        report.runtime = getattr(self.method, "record", {})
        checksum = getattr(self.method, "sha256", "")
        model = f"{self.method.name}, SHA-256 {checksum}" if checksum else ""
        return Despeckled(image.with_pixels(output, self._step(), model), report)

    def _step(self) -> str:
        """Return the line of the history: the method, and its precision if that is not single."""
        precision = getattr(self.method, "precision", "single")
        reduced = "" if precision == "single" else f", computed in {precision} precision"
        return f"despeckled by {self.method.title} ({self.method.name}), strength {self.settings.strength:g}{reduced}"

    def _fill(
        self,
        frames: Pixels,
        output: Pixels,
        context: ImageContext,
        region: Pixels | None,
        report: DenoiseReport,
        progress: ProgressCallback | None,
        is_cancelled: Callable[[], bool] | None,
    ) -> None:
        chosen = range(*slice(*self.settings.frames).indices(len(frames)))
        if not chosen:
            message = f"The chosen frames {self.settings.frames} hold none of the image's {len(frames)} frames."
            raise SettingsError(message)
        for batch in _batches(chosen, self.settings.batch_frames or _frames_per_batch(frames)):
            if is_cancelled is not None and is_cancelled():
                message = f"Stopped after {report.processed + len(report.skipped)} of {len(chosen)} frames."
                raise CancelledError(message)
            prepared = [
                _prepare(
                    index,
                    frames[index],
                    self.settings.keep_overlays,
                    context,
                    None if region is None else region[index],
                )
                for index in batch
            ]
            report.overlay_pixels += sum(frame.overlay_pixels for frame in prepared)
            report.skipped += [
                SkippedFrame(frame.number, frame.empty_because) for frame in prepared if frame.empty_because
            ]
            ready = [frame for frame in prepared if not frame.empty_because]
            if ready:
                grey_nyx = np.stack([frame.grey_yx for frame in ready])
                started = time.perf_counter()
                answers = self.method.despeckle(grey_nyx)
                report.method_seconds += time.perf_counter() - started
                _check_answers(answers, grey_nyx, self.method.name)
                for frame, answer in zip(ready, answers, strict=True):
                    self._write(frame, answer, frames[frame.number], output[frame.number], context.grey_range, report)
            report.processed += len(ready)
            if progress is not None:
                progress(report.processed + len(report.skipped), len(chosen))

    def _sector(self, frames: Pixels, grey_range: GreyRange) -> Sector:
        if not self.settings.keep_outside_sector:
            return Sector(np.ones(frames.shape[1:3], bool), 1.0, "Whole frame: asked for.")
        return find_sector(GreyFrames(frames, grey_range), data_range=1.0)

    def _region_frames(self, region: Mask, image: UltrasoundImage) -> Pixels:
        expected = image.pixels.shape[: image.geometry_dimension]
        if region.shape != expected:
            message = f"The region has shape {region.shape}, but the image has {expected}."
            raise GeometryError(message)
        return as_frames(np.asarray(region, bool), image, self.settings.slice_axis)

    def _write(
        self,
        frame: _PreparedFrame,
        answer_yx: Float32,
        pixels: Pixels,
        output: Pixels,
        grey_range: GreyRange,
        report: DenoiseReport,
    ) -> None:
        """Blend the answer into one frame of the output, in place, where the mask allows it."""
        change = self.settings.strength * (answer_yx - frame.grey_yx)[frame.mask_yx]
        channels = [np.s_[:, :]] if pixels.ndim == 2 else [np.s_[:, :, c] for c in range(3)]
        for channel in channels:
            changed, below, above = grey_range.add(pixels[channel][frame.mask_yx], change)
            output[channel][frame.mask_yx] = changed
            report.clipped_low += below
            report.clipped_high += above


class _PreparedFrame(NamedTuple):
    number: int
    grey_yx: Float32
    mask_yx: Mask
    overlay_pixels: int
    empty_because: str


def _check_domain(method: FrameDespeckler, image: UltrasoundImage) -> None:
    is_for_envelopes = method_domain(method) == "envelope"
    if image.intensity is IntensityDomain.ENVELOPE and not is_for_envelopes:
        message = "This image is a linear envelope; log-compress it to B-mode before despeckling."
        raise UnsupportedImageError(message)
    if is_for_envelopes and image.intensity is not IntensityDomain.ENVELOPE:
        message = f"The model '{method.name}' takes linear envelopes, but this image is B-mode; choose another model."
        raise UnsupportedImageError(message)


def _check_answers(answers: object, grey_nyx: Float32, name: str) -> None:
    """Refuse what is no grey: it would become black, or whatever the pixel type makes of it."""
    values = np.asarray(answers)
    if values.shape != grey_nyx.shape or not np.isfinite(values).all():
        message = f"The method '{name}' failed: its answer is no image of the same size, or holds NaN or infinity."
        raise UnsupportedImageError(message)


def _check_shapes(frames: Pixels, sector: Sector, region: Pixels | None) -> None:
    shape_yx = tuple(frames.shape[1:3])
    if sector.mask_yx.shape != shape_yx:
        message = f"The sector of the context has shape {sector.mask_yx.shape}, but the frames have {shape_yx}."
        raise GeometryError(message)
    if region is not None and not any(np.any(region[number]) for number in range(len(region))):
        message = "The region holds no pixel of the image; choose one that overlaps it."
        raise SettingsError(message)


def _prepare(
    index: int, pixels: Pixels, find_overlays: bool, context: ImageContext, region_yx: Pixels | None
) -> _PreparedFrame:
    grey_range, sector = context
    grey = grey_frame(pixels, grey_range)
    if region_yx is not None and not region_yx.any():
        return _PreparedFrame(index, grey, sector.mask_yx, 0, OUTSIDE_REGION)
    mask, overlay_pixels = without_surround(sector.mask_yx, grey), 0
    if find_overlays and pixels.ndim == 3:
        overlay = find_overlay(grey_range.to_grey(pixels[..., :3]), data_range=1.0)
        overlay_pixels = int(overlay.sum())
        if overlay_pixels:
            mask = mask & ~overlay
            if not overlay.all():
                grey = _fill_from_neighbours(grey, overlay)
    empty_because = "low contrast: the whole image is noise at most" if grey_range.is_meaningless else ""
    empty_because = empty_because or _why_empty(grey, mask)
    if region_yx is not None:
        mask = np.asarray(mask & np.asarray(region_yx, bool))
    return _PreparedFrame(index, grey, mask, overlay_pixels, empty_because)


def _why_empty(grey_yx: Float32, mask_yx: Mask) -> str:
    """Return why a frame must be left alone, or nothing."""
    values = grey_yx[mask_yx]
    if values.size == 0:
        return "no ultrasound found in this frame"
    low, high = (float(v) for v in np.quantile(values, (0.01, 0.99)))
    if values.min() == values.max():
        return f"flat: every pixel has the same grey ({low:.3f} of 1)"
    if high - low < LOWEST_CONTRAST:
        return f"low contrast: grey spans only {high - low:.4f} of 1"
    return ""


def _fill_from_neighbours(grey_yx: Float32, hole_yx: Mask) -> Float32:
    """Give overlay pixels the grey of the nearest tissue, so that letters do not bleed into what is around them."""
    nearest = ndimage.distance_transform_edt(hole_yx, return_distances=False, return_indices=True)
    return np.asarray(grey_yx[tuple(nearest)])


def _frames_per_batch(frames: Pixels) -> int:
    height, width = (int(n) for n in frames.shape[1:3])
    return min(max(PIXELS_PER_BATCH // (height * width), 1), 16)


def _batches(indices: range, size: int) -> Iterator[range]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
