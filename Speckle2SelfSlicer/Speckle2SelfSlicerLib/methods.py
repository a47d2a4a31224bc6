"""The core's methods as the module offers them, and what is written down about a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from Speckle2SelfLogic import RESEARCH_USE, __version__
from Speckle2SelfLogic.denoiser import OUTSIDE_REGION, DenoiseReport
from Speckle2SelfLogic.errors import SettingsError, WeightsError
from Speckle2SelfLogic.filters import FILTERS
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.plain_errors import is_file
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.weights import DEFAULT_MODEL, find_model, list_models
from Speckle2SelfSlicerLib.installation import reason_of, unusable
from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest
from Speckle2SelfSlicerLib.texts import tr as _
from Speckle2SelfSlicerLib.torch_loading import torch_without_stalls
from Speckle2SelfSlicerLib.volumes import METHOD_ATTRIBUTE

SUMMARY_ATTRIBUTE = "Speckle2Self.Summary"
WARM_UP_YX = (64, 64)


def method_titles() -> dict[str, str]:
    """Return the titles of all methods by name: the default model, other models, classical filters."""
    default = find_model(DEFAULT_MODEL)
    titles = {default.name: default.title}
    try:
        titles.update({card.name: card.title for card in list_models()})
    except WeightsError as error:  # a damaged card of the user's own must not close the panel
        logging.warning("Speckle2Self: %s", error)
    return titles | {name: classical.title for name, classical in FILTERS.items()}


def needs_torch(method: str | FrameDespeckler) -> bool:
    """Whether a method is a network by name or file."""
    return isinstance(method, str) and method not in FILTERS


def describe_method(name: str) -> str:
    """Return in a line or two what a method is and where it comes from."""
    if name in FILTERS:
        return FILTERS[name].citation
    try:
        card = find_model(name)
    except WeightsError as error:  # it was removed meanwhile
        return str(error)
    return f"{card.intended_use} {card.licence}. SHA-256 {card.sha256[:12]}."


def packages_for(method: str | FrameDespeckler) -> tuple[str, ...]:
    """Return the packages of PyPI that a filter needs and Slicer does not have by itself."""
    return FILTERS[method].packages if isinstance(method, str) and method in FILTERS else ()


class MethodStore:
    """Loads methods, each once: a network stays in memory for the next run, the preview and live images."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str, float], FrameDespeckler] = {}

    def load(self, how: MethodRequest) -> FrameDespeckler:
        """Return the method of a name or weight file on a device, and an object as it is.

        Raises
        ------
        SettingsError
            If nothing has that name, the device is missing, or a network is asked for and Python lacks PyTorch.
        WeightsError
            If weights are damaged, unsafe, or belong to another network.
        """
        if not isinstance(how.method, str):
            return how.method
        changed_at = Path(how.method).stat().st_mtime if is_file(how.method) else 0.0
        key = (how.method, how.device, changed_at)
        method = self._loaded.get(key)
        if method is None:
            method = self._loaded[key] = _load(how.method, how.device)
        return method

    def forget(self) -> None:
        """Load everything anew when it is asked for next: a faster runtime may be there now."""
        self._loaded.clear()


def _load(name_or_path: str, device: str) -> FrameDespeckler:
    if not needs_torch(name_or_path):
        return load_method(name_or_path, device)
    otherwise = _("or choose a classical filter such as 'median'")
    with loading_torch(_("The method '{method}'").format(method=name_or_path), otherwise):
        network = load_method(name_or_path, device)
        network.despeckle(np.zeros((1, *WARM_UP_YX), np.float32))  # what a first call loads belongs to loading
        return network


@contextmanager
def loading_torch(what: str, otherwise: str) -> Iterator[None]:
    """Keep the window alive while something inside imports torch, and say in one sentence if that does not work.

    Parameters
    ----------
    what
        What needs it: the start of the sentence.
    otherwise
        What to do without it.

    Raises
    ------
    SettingsError
        If PyTorch is missing or damaged.
    """
    try:
        with torch_without_stalls():
            yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        message = _(
            "{what} needs PyTorch, which this Slicer does not have yet: install it with the extension 'PyTorch' "
            "(module 'PyTorch Utils'), {otherwise}."
        ).format(what=what, otherwise=otherwise)
        raise SettingsError(message) from error
    except (ImportError, OSError) as error:  # libraries that are damaged, or of another version
        raise unusable(reason_of(error)) from error


def record(
    report: DenoiseReport, request: DespeckleRequest, method: FrameDespeckler, unit: str = "slice"
) -> dict[str, str]:
    """Return what the output should say about its making, as node attributes; see `summary` for the unit."""
    how_computed = report.runtime
    region = request.region.GetName() if request.region is not None else ""
    return {
        METHOD_ATTRIBUTE: report.method,
        "Speckle2Self.MethodTitle": method.title,
        "Speckle2Self.ModelSHA256": getattr(method, "sha256", ""),
        "Speckle2Self.Device": str(getattr(method, "device", "cpu")),
        "Speckle2Self.Runtime": " ".join(str(how_computed.get(key, "")) for key in ("runtime", "version")).strip(),
        "Speckle2Self.Precision": str(how_computed.get("precision", "")),
        "Speckle2Self.Parameters": _parameters(method),
        "Speckle2Self.Strength": f"{report.strength:g}",
        "Speckle2Self.Domain": _domain(request),
        "Speckle2Self.SliceAxis": request.axis,
        "Speckle2Self.KeepOverlays": str(request.how.keep_overlays),
        "Speckle2Self.Region": f"{region} {request.segment_id}".strip(),
        "Speckle2Self.Input": request.volume.GetName(),
        SUMMARY_ATTRIBUTE: summary(report, unit),
        "Speckle2Self.Version": __version__,
        "Speckle2Self.Notice": RESEARCH_USE,
    }


def _domain(request: DespeckleRequest) -> str:
    how = request.how
    return how.domain if how.domain == "bmode" else f"{how.domain} over {how.dynamic_range_db:g} dB"


def summary(report: DenoiseReport, unit: str = "slice") -> str:
    """Return in sentences what was done, what was left alone and why; a unit is a ``"slice"`` or a ``"frame"``."""
    units = unit if report.frames == 1 else f"{unit}s"
    sentences = [f"{report.processed} of {report.frames} {units} despeckled in {report.seconds:.1f} s."]
    skipped = [frame for frame in report.skipped if frame.reason != OUTSIDE_REGION]
    if outside := len(report.skipped) - len(skipped):
        sentences.append(f"{outside} outside the region.")
    if skipped:
        sentences.append(f"{len(skipped)} left unchanged, the first ({unit} {skipped[0].frame}): {skipped[0].reason}.")
    return " ".join([*sentences, *report.messages])


def _parameters(method: FrameDespeckler) -> str:
    return ", ".join(f"{name}={value}" for name, value in dict(getattr(method, "parameters", {})).items())
