"""Linear and log envelopes through a method that was made for B-mode: compressed, despeckled, and brought back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from Speckle2SelfLogic.denoiser import Denoiser, DenoiseSettings, Despeckled, ImageContext, Mask, ProgressCallback
from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Speckle2SelfLogic.image import IntensityDomain, Pixels, UltrasoundImage
from Speckle2SelfLogic.raw.signals import DecibelScale, Domain, GreyScale, LogCompression, plane_by_plane
from Speckle2SelfLogic.runtime import FrameDespeckler, method_domain


@dataclass(frozen=True)
class EnvelopeDenoiser:
    """A `Denoiser` for envelopes, called in the same way.

    The envelope becomes B-mode grey over ``dynamic_range_db``, is despeckled there, since that is what the method's
    card names, and is brought back. Where the method changes no grey, the envelope keeps its value. A model whose card
    names linear envelopes gets those as they are.

    Parameters
    ----------
    denoiser
        The method and its settings.
    dynamic_range_db
        Range of the compression; what lies below it is black to the method.
    reference
        Value of 0 dB. Left out: that of the context, or else the largest of the image.
    is_log
        Whether values are a log envelope: whole numbers are grey already, real numbers are dB.
    """

    denoiser: Denoiser
    dynamic_range_db: float
    reference: float | None = None
    is_log: bool = False

    @property
    def method(self) -> FrameDespeckler:
        """The method."""
        return self.denoiser.method

    @property
    def settings(self) -> DenoiseSettings:
        """The settings of the denoiser."""
        return self.denoiser.settings

    def context_of(self, image: UltrasoundImage) -> ImageContext:
        """Find grey range, sector and the value of 0 dB; raises what `run` raises for images that are no envelope."""
        if self._is_taken_as_it_is(image):
            return self.denoiser.context_of(self._as_it_is(image))
        reference = self._reference(image)
        found = self.denoiser.context_of(self._grey(image, self._scale(reference)))
        return found._replace(reference=reference)

    def run(
        self,
        image: UltrasoundImage,
        progress: ProgressCallback | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        *,
        context: ImageContext | None = None,
        region: Mask | None = None,
    ) -> Despeckled:
        """Despeckle a grey image whose values are an envelope, whatever its ``intensity`` says; see `Denoiser.run`.

        Raises
        ------
        UnsupportedImageError
            If values are negative (linear envelope) or not finite, or the image is in colour; and what `Denoiser.run`
            raises.
        """
        if self._is_taken_as_it_is(image):
            clean, report = self.denoiser.run(
                self._as_it_is(image), progress, is_cancelled, context=context, region=region
            )
            return Despeckled(replace(clean, intensity=image.intensity), report)
        reference = self._reference(image) if context is None or context.reference is None else context.reference
        scale = self._scale(reference)
        before = self._grey(image, scale)
        despeckled, report = self.denoiser.run(before, progress, is_cancelled, context=context, region=region)
        kind = image.pixels.dtype

        def brought_back(*planes: Pixels) -> Pixels:
            values = scale.changed(*planes)
            return np.round(values) if kind.kind in "ui" else values  # at most the reference, or what was there before

        values = plane_by_plane(brought_back, kind, image.pixels, before.pixels, despeckled.pixels)
        history = (*despeckled.provenance.history, "brought back to the envelope")
        record = replace(despeckled.provenance, history=history)
        report.messages.append(f"An envelope: compressed over {self.dynamic_range_db:g} dB for the method, and back.")
        return Despeckled(replace(image, pixels=values, provenance=record), report)

    def _is_taken_as_it_is(self, image: UltrasoundImage) -> bool:
        if image.is_colour:
            message = "An envelope has no colour; choose B-mode as the domain of this image."
            raise UnsupportedImageError(message)
        if self.is_log:
            return image.pixels.dtype.kind in "ui"
        return method_domain(self.method) == "envelope"

    def _as_it_is(self, image: UltrasoundImage) -> UltrasoundImage:
        return replace(image, intensity=IntensityDomain.BMODE if self.is_log else IntensityDomain.ENVELOPE)

    def _reference(self, image: UltrasoundImage) -> float:
        pixels = image.pixels
        if pixels.dtype.kind not in "uif" or not np.isfinite(pixels).all():
            message = "An envelope needs real numbers that are finite; this image has others."
            raise UnsupportedImageError(message)
        if not self.is_log and pixels.min() < 0:
            message = f"A linear envelope cannot be negative, but this goes down to {pixels.min():g}; it may be in dB."
            raise UnsupportedImageError(message)
        return float(pixels.max()) if self.reference is None else self.reference

    def _scale(self, reference: float) -> GreyScale:
        kind = DecibelScale if self.is_log else LogCompression
        return kind(self.dynamic_range_db, reference)

    def _grey(self, image: UltrasoundImage, scale: GreyScale) -> UltrasoundImage:
        step = f"B-mode over {self.dynamic_range_db:g} dB"
        record = replace(image.provenance, history=(*image.provenance.history, step))
        grey = plane_by_plane(scale.to_grey, np.float32, image.pixels)
        return replace(image, pixels=grey, intensity=IntensityDomain.BMODE, provenance=record)


def denoiser_for(
    method: FrameDespeckler, settings: DenoiseSettings, domain: str, dynamic_range_db: float | None = None
) -> Denoiser | EnvelopeDenoiser:
    """Return the denoiser for images whose values are of a domain: ``"bmode"``, ``"envelope"`` or ``"log-envelope"``.

    Raises
    ------
    SettingsError
        For another domain, or if the dynamic range of an envelope is missing.
    """
    denoiser = Denoiser(method, settings)
    chosen = check_domain(domain, dynamic_range_db)
    if chosen is Domain.BMODE or dynamic_range_db is None:
        return denoiser
    return EnvelopeDenoiser(denoiser, dynamic_range_db, is_log=chosen is Domain.LOG_ENVELOPE)


def check_domain(domain: str, dynamic_range_db: float | None) -> Domain:
    """Return the domain of images that a text names; raises what `denoiser_for` raises."""
    chosen = Domain.named(domain)
    if chosen is Domain.BMODE:
        return chosen
    if chosen not in (Domain.ENVELOPE, Domain.LOG_ENVELOPE):
        message = f"An image holds bmode, envelope or log-envelope, not '{domain}', which is a signal on beams."
        raise SettingsError(message)
    if dynamic_range_db is None:
        message = f"The domain '{domain}' needs a dynamic range in dB, such as 60."
        raise SettingsError(message)
    return chosen
