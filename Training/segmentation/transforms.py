"""MONAI transforms of segmentation training: prepared pictures of frames and labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.transforms import MapTransform, RandomizableTransform
from PIL import Image


def read_picture(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read an 8-bit picture (Y, X) as it was prepared."""
    with Image.open(path) as picture:
        return np.array(picture, np.uint8)


class ReadPreparedd(MapTransform):
    """Read a prepared frame as grey 0..1 and its labels as whole numbers, both (1, Y, X) float32."""

    def __init__(self, image_key: Hashable = "image", label_key: Hashable = "label") -> None:
        super().__init__([image_key, label_key], allow_missing_keys=True)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace paths by frames."""
        item = dict(data)
        for key in self.key_iterator(item):
            values = read_picture(item[key])[None].astype(np.float32)
            item[key] = torch.from_dlpack(values / np.float32(255) if key == self.image_key else values)
        return item


class RandGreyd(RandomizableTransform, MapTransform):
    """Change gain, compression and depth gain of a frame at random, as another scanner or another hand would.

    Grey g 0..1 at depth d 0..1 becomes (gain * g ** exponent) * (1 + slope * (d - 0.5)), clipped.
    """

    def __init__(self, keys: Sequence[Hashable], prob: float = 0.8, strength: float = 1.0) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.strength = strength

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw once for an item and change all its frames."""
        item = dict(data)
        self.randomize(None)
        exponent, gain, slope = (float(self.R.uniform(-1, 1)) for _ in range(3))
        if not self._do_transform:
            return item
        for key in self.key_iterator(item):
            frame = item[key]
            depth = torch.linspace(-0.5, 0.5, frame.shape[-2])[:, None]
            changed = 2 ** (0.6 * self.strength * gain) * frame ** (2 ** (0.7 * self.strength * exponent))
            item[key] = (changed * (1 + 0.6 * self.strength * slope * depth)).clamp(0, 1)
        return item
