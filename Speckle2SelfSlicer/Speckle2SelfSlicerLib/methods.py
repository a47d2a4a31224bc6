"""The core's methods as the module offers them, and what is written down about a run."""

from __future__ import annotations

import logging

from Speckle2SelfLogic.denoiser import DenoiseReport
from Speckle2SelfLogic.errors import SettingsError, WeightsError
from Speckle2SelfLogic.filters import FILTERS
from Speckle2SelfLogic.methods import load_method
from Speckle2SelfLogic.runtime import FrameDespeckler
from Speckle2SelfLogic.weights import DEFAULT_MODEL, find_model, list_models


def method_titles() -> dict[str, str]:
    """Return the titles of all methods by name: the default model, other models, classical filters."""
    default = find_model(DEFAULT_MODEL)
    titles = {default.name: default.title}
    try:
        titles.update({card.name: card.title for card in list_models()})
    except WeightsError as error:  # a damaged card of the user's own must not close the panel
        logging.warning("Speckle2Self: %s", error)
    return titles | {name: classical.title for name, classical in FILTERS.items()}


def resolve(method: str | FrameDespeckler | None) -> FrameDespeckler:
    """Return the method of a name or weight file, the default model for None, and an object as it is.

    Raises
    ------
    SettingsError
        If nothing has that name, or a network is asked for and Slicer's Python lacks PyTorch.
    WeightsError
        If weights are damaged, unsafe, or belong to another network.
    """
    if method is not None and not isinstance(method, str):
        return method
    try:
        return load_method(method or DEFAULT_MODEL)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        message = (
            f"The method '{method or DEFAULT_MODEL}' needs PyTorch, which this Slicer does not have yet: install it "
            "with the extension 'PyTorch' (module 'PyTorch Utils'), or choose a classical filter such as 'median'."
        )
        raise SettingsError(message) from error


def record(report: DenoiseReport) -> dict[str, str]:
    """Return what the output volume should say about its making, as node attributes."""
    return {
        "Speckle2Self.Method": report.method,
        "Speckle2Self.Strength": f"{report.strength:g}",
        "Speckle2Self.Summary": _summary(report),
    }


def _summary(report: DenoiseReport) -> str:
    sentences = [f"{report.processed} of {report.frames} slices despeckled in {report.seconds:.1f} s."]
    if report.skipped:
        first = report.skipped[0]
        sentences.append(f"{len(report.skipped)} left unchanged, the first (slice {first.frame}): {first.reason}.")
    return " ".join([*sentences, *report.messages])
