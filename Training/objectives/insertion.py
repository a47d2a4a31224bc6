"""Known structures put into real frames, so that training on real frames can ask for them back.

A real frame has no speckle-free truth, but a difference has one: when the echogenicity of a small place is changed by a
known amount, the despeckled frame has to change by that amount, there and nowhere else. Structures are spots, cysts,
single and paired lines, and edges, of sizes from about one speckle up. All work is on log-compressed grey, where a
change of echogenicity in dB is a change of grey.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as nnf

from Training.objectives.speckle_size import speckle_widths_px

DYNAMIC_RANGE_DB = 60.0
"""Assumed span of grey 0..1. A wrong guess scales the contrast of structures, in the input and in the truth alike."""
FWHM_PER_SIGMA = 1.82
"""Full width of the autocorrelation of log-compressed speckle over the standard deviation of the amplitude PSF,
measured on
simulated speckle (2.355 for intensity, Wagner et al. 1983)."""
BLACK_GREY = 0.04
NOISE_AMPLITUDE = 10 ** (-DYNAMIC_RANGE_DB / 20)


@dataclass(frozen=True)
class Insertion:
    """A structure for each frame of a batch, as the scanner blurs it and as the truth shows it; both (N, 1, H, W).

    ``gain_*`` is added to grey (change of the scattering that is there); ``echo_*`` is the grey of a coherent reflector
    whose power is added to that of the frame (0: none).
    """

    gain_blurred: Tensor
    gain_sharp: Tensor
    echo_blurred: Tensor
    echo_sharp: Tensor
    interference: Tensor
    """Cosine of the phase between reflector and frame: it varies as speckle does."""

    def into_speckled(self, frames: Tensor) -> Tensor:
        """Return the frames with the structure as a scanner would show it."""
        return _inserted(frames, self.gain_blurred, self.echo_blurred, self.interference)

    def into_clean(self, frames: Tensor) -> Tensor:
        """Return speckle-free frames with the structure at the resolution of the truth."""
        return _inserted(frames, self.gain_sharp, self.echo_sharp, None)


def _inserted(frames: Tensor, gain: Tensor, echo: Tensor, interference: Tensor | None) -> Tensor:
    """Change the scattering, then add the reflector: powers add, and in a speckled frame its wave interferes.

    Pixels near black hide how far below black they are, so they are brightened less.
    """
    scattered = (frames + torch.where(gain > 0, gain * frames / (frames + BLACK_GREY), gain)).clamp(0, 1)
    amplitude, reflected = _amplitude(scattered), _amplitude(echo)
    power = amplitude.square() + reflected.square()
    if interference is not None:
        power = power + 2 * amplitude * reflected * interference
    return torch.where(echo > 0, _grey(power.clamp(min=0).sqrt()), scattered).clamp(0, 1)


def _amplitude(grey: Tensor) -> Tensor:
    """Amplitude whose compression gives this grey; black is no amplitude."""
    return torch.exp((grey - 1) * (DYNAMIC_RANGE_DB / 20 * math.log(10))) - NOISE_AMPLITUDE


def _grey(amplitude: Tensor) -> Tensor:
    return 1 + 20 / DYNAMIC_RANGE_DB * torch.log10(amplitude + NOISE_AMPLITUDE)


def random_insertion(frames: Tensor, structures: int = 3, sharpness: float = 0.5) -> Insertion:
    """Draw structures for each frame (N, 1, H, W), grey 0..1, that fit its brightness and the size of its speckle.

    Parameters
    ----------
    structures
        How many in each frame.
    sharpness
        Width of the truth's blur as a share of that of the scanner.
    """
    parts = [_insertion_for(frame[None], structures, sharpness) for frame in frames.detach().float()]
    return Insertion(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Insertion)))


def _insertion_for(frame: Tensor, structures: int, sharpness: float) -> Insertion:
    widths = speckle_widths_px(frame)
    sigma_y, sigma_x = (width / FWHM_PER_SIGMA for width in widths)
    gain, echo = torch.zeros(frame.shape[-2:]), torch.zeros(frame.shape[-2:])
    for _ in range(structures):
        place, change, reflected = _random_structure(frame[0, 0].cpu(), sum(widths) / 2)
        gain = gain + change * place
        echo = torch.maximum(echo, reflected * place)
    gain, echo = (drawn[None, None].to(frame) for drawn in (gain, echo))
    sharp = (sigma_y * sharpness, sigma_x * sharpness)
    noise = [blurred(torch.randn_like(frame), (sigma_y, sigma_x)) for _ in range(2)]
    return Insertion(
        # Power, not amplitude, is what changes with scattering: its blur is narrower by the root of two.
        blurred(gain, (sigma_y / math.sqrt(2), sigma_x / math.sqrt(2))),
        blurred(gain, sharp),
        *_echo_maps(echo, (sigma_y, sigma_x), sharp),
        noise[0] / torch.hypot(*noise).clamp(min=1e-9),
    )


def _echo_maps(echo: Tensor, sigma: tuple[float, float], sharp: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Blur reflectors as amplitudes; one thinner than the pulse is as bright as its full width would be."""
    amplitude = _amplitude(echo)
    maps = []
    for widths in (sigma, sharp):
        spread = blurred(amplitude, widths)
        peak = spread.amax((-2, -1), keepdim=True).clamp(min=1e-12)
        spread = spread * (amplitude.amax((-2, -1), keepdim=True) / peak)
        maps.append(_grey(spread))
    return maps[0], maps[1]


def blurred(maps: Tensor, sigma_yx: tuple[float, float]) -> Tensor:
    """Blur (N, 1, H, W) with a Gaussian of these standard deviations in pixels; the borders are continued."""
    with torch.autocast(maps.device.type, enabled=False):
        maps = maps.float()
        for axis, sigma in zip((2, 3), sigma_yx, strict=True):
            reach = max(1, math.ceil(3 * sigma))
            offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=maps.device)
            kernel = torch.exp(-0.5 * (offsets / max(sigma, 1e-3)) ** 2)
            kernel = (kernel / kernel.sum()).reshape((1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1))
            pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
            maps = nnf.conv2d(nnf.pad(maps, pad, mode="replicate"), kernel)
    return maps


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _random_structure(frame_yx: Tensor, speckle_px: float) -> tuple[Tensor, float, float]:
    """Return where a structure is (0..1), by how much it changes grey there, and the grey of its reflector."""
    height, width = frame_yx.shape
    cy, cx = _uniform(0, height - 1), _uniform(0, width - 1)
    y = torch.arange(height, dtype=torch.float32)[:, None] - cy
    x = torch.arange(width, dtype=torch.float32)[None] - cx
    local = frame_yx[max(int(cy) - 8, 0) : int(cy) + 9, max(int(cx) - 8, 0) : int(cx) + 9]
    level = float(local.mean())
    kind = int(torch.randint(0, 5, ()))
    size = speckle_px * math.exp(_uniform(math.log(0.45), math.log(3.0)))
    if kind == 0:  # echogenic spot
        place = _inside(torch.hypot(y, x) - size / 2)
        return place, 0.0, min(level + _uniform(0.12, 0.5), 1.0)
    if kind == 1:  # cyst, down to nearly nothing, or a weak one
        ratio = math.exp(_uniform(-0.4, 0.4))
        place = _inside(torch.hypot(y * ratio, x / ratio) - size)
        return place, -_uniform(0.08, 0.8), 0.0
    angle = _uniform(-0.5, 0.5) if torch.rand(()) < 0.75 else _uniform(0, math.pi)
    across = y * math.cos(angle) - x * math.sin(angle)
    along = y * math.sin(angle) + x * math.cos(angle)
    ends = _inside(along.abs() - _uniform(3, 14) * speckle_px)
    thickness = min(size, 2.0 * speckle_px) * 0.6
    if kind == 2:  # one thin layer, bright or dark
        place = _inside(across.abs() - thickness / 2) * ends
        if torch.rand(()) < 0.5:
            return place, 0.0, min(level + _uniform(0.05, 0.4), 1.0)
        return place, _uniform(0.06, 0.4) * (1 if torch.rand(()) < 0.5 else -1), 0.0
    if kind == 3:  # paired lines, as intima and adventitia or muscle fibres
        period = thickness * _uniform(2.0, 4.0)
        count = int(torch.randint(2, 6, ()))
        stripes = [_inside((across - k * period).abs() - thickness / 2) for k in range(count)]
        return torch.stack(stripes).amax(0) * ends, 0.0, min(level + _uniform(0.05, 0.35), 1.0)
    edge = _inside(across) * ends * _inside(across.abs() - _uniform(4, 10) * speckle_px)
    return edge, _uniform(0.06, 0.35) * (1 if torch.rand(()) < 0.5 else -1), 0.0


def _inside(distance_px: Tensor) -> Tensor:
    return torch.sigmoid(-distance_px / 0.35)
