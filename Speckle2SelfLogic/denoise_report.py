"""What was done to an image, in numbers and sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from Speckle2SelfLogic.frame_steps import RestoredFrame
from Speckle2SelfLogic.intensity import GreyRange
from Speckle2SelfLogic.sector import Sector


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

    def describe(self, grey_range: GreyRange, sector: Sector) -> None:
        """Say what was found once for all frames."""
        self.black, self.white = grey_range.black, grey_range.white
        self.sector, self.sector_share = sector.reason, float(sector.share)

    def count(self, result: RestoredFrame) -> None:
        """Add what was done to one frame."""
        self.overlay_pixels += result.overlay_pixels
        if result.empty_because:
            self.skipped.append(SkippedFrame(result.number, result.empty_because))
            return
        self.processed += 1
        self.clipped_low += result.clipped_low
        self.clipped_high += result.clipped_high

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {**asdict(self), "skipped": [frame._asdict() for frame in self.skipped]}
