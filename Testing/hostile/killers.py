"""Methods for workers that come to harm at one file: they end their process, or ask for more memory than there is."""

import os
import signal
from dataclasses import dataclass

import numpy as np

from Speckle2SelfLogic.denoiser import Denoiser
from Speckle2SelfLogic.methods import load_method

FATAL_GREY = 217
"""A frame whose first pixel has this grey brings harm."""


class Killing(Denoiser):
    """Ends its process without a word at a fatal frame, as the system does when memory runs out."""

    def run(self, image, *arguments, **options):
        if image.pixels.flat[0] == FATAL_GREY:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(image, *arguments, **options)


class Greedy(Denoiser):
    """Asks for an exabyte at a fatal frame."""

    def run(self, image, *arguments, **options):
        if image.pixels.flat[0] == FATAL_GREY:
            np.empty(2**60, np.uint8)
        return super().run(image, *arguments, **options)


@dataclass(frozen=True)
class Harmful:
    """What a worker loads instead of a `Method`."""

    kind: type[Denoiser]
    model: str = "median"

    def load(self):
        return self.kind(load_method(self.model))
