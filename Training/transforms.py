"""MONAI transforms for ultrasound training: reading grey frames, simulating pairs, dimming, real crops beside them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.transforms import MapTransform, RandomizableTransform, Transform

from Speckle2SelfLogic.comparison import single_frame
from Speckle2SelfLogic.frames import grey_frame
from Speckle2SelfLogic.image import UltrasoundImage
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.io import read_image, write_image
from Speckle2SelfLogic.runtime import to_array
from Training.pairs import random_pair
from Training.real_frames import RealFrames, random_real_batch

Float32 = npt.NDArray[np.float32]


def read_grey_frame(path: str | Path) -> Float32:
    """Read a frame (Y, X) as grey 0..1; of a cine or volume its middle frame.

    8 and 16 bit PNG files stand for their whole range, as the simulated sets are written; every other image is scaled
    as the denoiser scales it, so that training sees what the network will see.
    """
    frame = single_frame(read_image(path))
    if frame.pixels.dtype == np.uint16 and Path(path).suffix.lower() == ".png":
        return np.asarray(frame.pixels, np.float32) / 65535
    return np.array(grey_frame(frame.pixels, GreyRange.of(frame.pixels)), np.float32)


class ReadGreyd(MapTransform):
    """Read image files of any format of the core as one grey frame (1, Y, X), 0..1."""

    def __init__(self, keys: Sequence[Hashable], allow_missing_keys: bool = True) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace paths by frames."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = torch.from_dlpack(read_grey_frame(item[key])[None])
        return item


class SimulateOrReadd(Transform):
    """Make the pair that belongs to the ``seed`` of an item; read the frames of an item that has paths instead.

    Gives ``speckled`` and ``truth``, (1, size, size), grey 0..1. Deterministic, so that MONAI's caching data sets may
    keep its result.
    """

    def __init__(
        self, keys: Sequence[Hashable], size_px: int, anatomy: Sequence[Float32] = (), anatomy_share: float = 0.0
    ) -> None:
        self.read = ReadGreyd(keys)
        self.size_px, self.anatomy, self.anatomy_share = size_px, tuple(anatomy), anatomy_share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the frames, and those that the item has already, so that items of both kinds form one batch.

        Half precision keeps the cache small and holds 8-bit grey exactly.
        """
        if "seed" not in data:
            item = self.read(data)
            return {key: value.half() for key, value in item.items() if isinstance(value, torch.Tensor)}
        speckled, truth = random_pair(int(data["seed"]), self.size_px, self.anatomy, self.anatomy_share)
        frames = {"speckled": speckled.astype(np.float32) / 255, "truth": truth.astype(np.float32) / 65535}
        made = {key: torch.from_dlpack(frame[None]).half() for key, frame in frames.items()}
        return {key: value for key, value in data.items() if isinstance(value, torch.Tensor)} | made


class FrameOfNumberd(Transform):
    """Give the frame that belongs to the ``number`` of an item as ``speckled`` (1, Y, X), grey 0..1."""

    def __init__(self, frames: Sequence[npt.NDArray[np.uint8]], smallest_px: int) -> None:
        self.frames, self.smallest_px = frames, smallest_px

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the frame to the item; one that is smaller than a training crop is extended by reflection."""
        frame = self.frames[int(data["number"])]
        padding = [(0, max(0, self.smallest_px - side)) for side in frame.shape]
        grey = np.pad(frame, padding, mode="symmetric").astype(np.float32) / 255
        return dict(data) | {"speckled": torch.from_dlpack(grey[None])}


class CutToMultipled(MapTransform):
    """Cut the centre out of frames so that each side is a multiple of some pixels, and at most so many."""

    def __init__(self, keys: Sequence[Hashable], multiple: int, most_px: int) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.multiple, self.most_px = multiple, most_px

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with smaller frames (1, Y, X)."""
        item = dict(data)
        for key in self.key_iterator(item):
            height, width = item[key].shape[-2:]
            sides = [min(side // self.multiple * self.multiple, self.most_px) for side in (height, width)]
            top, left = (height - sides[0]) // 2, (width - sides[1]) // 2
            item[key] = item[key][..., top : top + sides[0], left : left + sides[1]]
        return item


class WriteGreyd(MapTransform):
    """Write a frame (1, Y, X), grey 0..1, as 8-bit PNG into a folder, named after the ``path`` of the item."""

    def __init__(self, keys: Sequence[Hashable], folder: str | Path) -> None:
        super().__init__(keys)
        self.folder = Path(folder)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write and return the item. Raises what `write_image` raises."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for key in self.key_iterator(data):
            grey = to_array(torch.as_tensor(data[key])[0].float().clamp(0, 1))
            image = UltrasoundImage(pixels=np.uint8(grey * 255 + 0.5), axes="YX")
            write_image(image, self.folder / f"{Path(data['path']).stem}.png")
        return dict(data)


class RandDimd(MapTransform, RandomizableTransform):
    """Dim all frames of an item by one random gain below 1; half of the speckled frames are rounded to 8 bit again.

    A dim frame from a scanner has fewer grey levels, and the answer must not depend on the gain.
    """

    def __init__(self, keys: Sequence[Hashable], lowest_gain: float, prob: float = 1.0) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        RandomizableTransform.__init__(self, prob)
        self.lowest_gain = lowest_gain

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dimmed item."""
        self.randomize(None)
        gain = float(np.exp(self.R.uniform(np.log(self.lowest_gain), 0)))
        is_rounded = self.R.random() < 0.5
        item = {key: value.float() if isinstance(value, torch.Tensor) else value for key, value in data.items()}
        if not self._do_transform:
            return item
        for key in self.key_iterator(item):
            dim = item[key] * gain
            item[key] = (dim * 255).round() / 255 if is_rounded and key != "truth" else dim
        return item


class RandRealCropd(RandomizableTransform):
    """Put a random crop of a random real frame beside the simulated one, as ``real`` (1, crop, crop)."""

    def __init__(self, frames: RealFrames, crop_px: int) -> None:
        super().__init__(prob=1.0)
        self.frames, self.crop_px = frames, crop_px

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the crop to the item; an item stays as it is when there are no real frames."""
        if not self.frames.frames:
            return dict(data)
        rng = np.random.default_rng(int(self.R.randint(2**31)))
        return dict(data) | {"real": torch.from_dlpack(random_real_batch(rng, self.frames, 1, self.crop_px)[0])}
