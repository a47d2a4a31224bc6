"""The methods of this room by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.runtime import FrameDespeckler
from Training.per_image.bm3d import bm3d_filter
from Training.per_image.deep_image_prior import DeepImagePrior
from Training.per_image.noise2self_single import SingleFrameNoise2Self
from Training.per_image.zs_n2n import ZeroShotNoise2Noise

PER_IMAGE_METHODS: Mapping[str, Callable[..., FrameDespeckler]] = MappingProxyType(
    {
        "zs_n2n": ZeroShotNoise2Noise,
        "deep_image_prior": DeepImagePrior,
        "noise2self_single": SingleFrameNoise2Self,
        "bm3d": bm3d_filter,
    }
)
"""How each method is made from its settings."""


def per_image_method(name: str, **settings: Any) -> FrameDespeckler:  # noqa: ANN401 - each method has its own
    """Return a method of `PER_IMAGE_METHODS` with some of its settings changed.

    Raises
    ------
    SettingsError
        If no method has that name, or it has no such setting.
    """
    if name not in PER_IMAGE_METHODS:
        message = f"There is no per-image method '{name}'; choose one of {', '.join(PER_IMAGE_METHODS)}."
        raise SettingsError(message)
    try:
        return PER_IMAGE_METHODS[name](**settings)
    except TypeError as error:
        message = f"The per-image method '{name}' cannot have the settings {settings}: {error}."
        raise SettingsError(message) from error
