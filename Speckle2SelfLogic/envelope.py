"""Linear envelopes through a method that was made for B-mode: compressed, despeckled, and brought back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from Speckle2SelfLogic.denoiser import Denoiser, Despeckled, ImageContext, Mask, ProgressCallback
from Speckle2SelfLogic.errors import UnsupportedImageError
from Speckle2SelfLogic.image import IntensityDomain, UltrasoundImage
from Speckle2SelfLogic.raw.signals import LogCompression
from Speckle2SelfLogic.runtime import method_domain


@dataclass(frozen=True)
class EnvelopeDenoiser:
    """A `Denoiser` for linear envelopes, called in the same way.

    The envelope is log-compressed to B-mode grey over ``dynamic_range_db``, despeckled there, since that is what the
    method's card names, and expanded again. Where the method changes no grey, the envelope keeps its value.

    Parameters
    ----------
    denoiser
        The method and its settings.
    dynamic_range_db
        Range of the compression; what lies below it is black to the method.
    reference
        Envelope of 0 dB. Left out: the largest of each image; give that of a whole cine for single frames of it.
    """

    denoiser: Denoiser
    dynamic_range_db: float
    reference: float | None = None

    def context_of(self, image: UltrasoundImage) -> ImageContext:
        """Find grey range and sector of an envelope, as `Denoiser.context_of` does for B-mode."""
        if method_domain(self.denoiser.method) == "envelope":
            return self.denoiser.context_of(image)
        return self.denoiser.context_of(self._compressed(image, self._compression(image)))

    def run(
        self,
        image: UltrasoundImage,
        progress: ProgressCallback | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        *,
        context: ImageContext | None = None,
        region: Mask | None = None,
    ) -> Despeckled:
        """Despeckle an envelope, an image with ``intensity`` `IntensityDomain.ENVELOPE`; see `Denoiser.run`.

        Raises
        ------
        UnsupportedImageError
            If values are negative or not finite, or the image is in colour or no envelope; and what `Denoiser.run`
            raises.
        """
        if method_domain(self.denoiser.method) == "envelope":
            return self.denoiser.run(image, progress, is_cancelled, context=context, region=region)
        compression = self._compression(image)
        before = self._compressed(image, compression)
        despeckled, report = self.denoiser.run(before, progress, is_cancelled, context=context, region=region)
        envelope = compression.changed(image.pixels, before.pixels, despeckled.pixels)
        if image.pixels.dtype.kind in "ui":
            envelope = np.round(envelope)  # at most the reference, or a value that was there before
        record = replace(
            despeckled.provenance, history=(*despeckled.provenance.history, "expanded to a linear envelope")
        )
        result = replace(image, pixels=envelope.astype(image.pixels.dtype), provenance=record)
        return Despeckled(result, report)

    def _compression(self, image: UltrasoundImage) -> LogCompression:
        pixels = image.pixels
        if image.intensity is not IntensityDomain.ENVELOPE or image.is_colour:
            message = "This is no linear envelope: it is B-mode or in colour; despeckle it as it is."
            raise UnsupportedImageError(message)
        if pixels.dtype.kind not in "uif" or not np.isfinite(pixels).all() or pixels.min() < 0:
            message = "A linear envelope needs real numbers of 0 and above that are finite; this one has others."
            raise UnsupportedImageError(message)
        return LogCompression(self.dynamic_range_db, float(self.reference or pixels.max()))

    def _compressed(self, image: UltrasoundImage, compression: LogCompression) -> UltrasoundImage:
        grey: npt.NDArray[np.float32] = compression.to_grey(image.pixels)
        step = f"log-compressed over {self.dynamic_range_db:g} dB"
        record = replace(image.provenance, history=(*image.provenance.history, step))
        return replace(image, pixels=grey, intensity=IntensityDomain.BMODE, provenance=record)
