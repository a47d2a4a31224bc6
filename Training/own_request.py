"""What a user asks for who trains on an own folder, checked before any work, and whose a run folder is."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from Speckle2SelfLogic.errors import ImageFileError, SettingsError
from Speckle2SelfLogic.model_card import NAME_PATTERN
from Speckle2SelfLogic.outputs import make_folder
from Speckle2SelfLogic.plain_errors import one_sentence
from Speckle2SelfLogic.weights import DEFAULT_MODEL, model_names

REQUEST = "request.json"
OUR_METHOD = "despeckler"
FRAMES_ALONE = ("neighbor2neighbor", "noise2self", "noise2void", "published")
"""Methods that learn from speckled frames and nothing else."""
OWN_METHODS = (OUR_METHOD, *FRAMES_ALONE)
LONG_RUN_STEPS = 1000


@dataclass(frozen=True)
class Request:
    """What a user asked for. A run folder belongs to one request: the same one goes on, another one is refused.

    Parameters
    ----------
    data
        Folder of images, or one image.
    run
        Folder for checkpoints, preview, table and the finished model.
    name
        Name of the model.
    start
        Model (name or file) to go on from; None trains from the beginning.
    method
        One of `OWN_METHODS`.
    steps
        Optimiser steps; rounded up to whole epochs of up to 25 steps, in long runs up to 100.
    settings
        Further keys of the configuration, for tests and experts.
    """

    data: Path
    run: Path
    name: str
    start: str | None
    method: str
    steps: int
    device: str = "auto"
    threads: int = 1
    seed: int = 20261
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return max(1, math.ceil(self.steps / (100 if self.steps > LONG_RUN_STEPS else 25)))

    @property
    def epoch_length(self) -> int:
        """Steps in each epoch."""
        return math.ceil(self.steps / self.epochs)

    @property
    def val_interval(self) -> int:
        """Epochs between validations, such that there is one after the last."""
        return next(interval for interval in range(max(2, self.epochs // 40), 0, -1) if self.epochs % interval == 0)

    def fixed(self) -> dict[str, Any]:
        """Return what must stay the same for a run to go on, as JSON holds it."""
        content = {key: value for key, value in asdict(self).items() if key not in {"device", "threads", "run"}}
        return dict(json.loads(json.dumps(content | {"data": str(self.data.resolve())}, default=str)))


def default_name(data: Path, ending: str) -> str:
    """Return a name for a model that was made from a folder."""
    stem = re.sub(r"[^a-z0-9_-]+", "-", data.resolve().name.lower()).strip("-_")[:40] or "frames"
    return f"{stem}-{ending}"


def finetuning(data: Path, *, model: str = DEFAULT_MODEL, **chosen: Any) -> Request:  # noqa: ANN401 - fields of Request
    """Return the request of a fine-tuning, with what was not chosen filled in."""
    return _filled(Request(data, Path(), "", model, OUR_METHOD, 300), "finetuned", chosen)


def training(data: Path, **chosen: Any) -> Request:  # noqa: ANN401 - fields of Request
    """Return the request of a training from the beginning, with what was not chosen filled in."""
    return _filled(Request(data, Path(), "", None, OUR_METHOD, 20000), "trained", chosen)


def _filled(request: Request, ending: str, chosen: dict[str, Any]) -> Request:
    given = {key: value for key, value in chosen.items() if value is not None}
    name = given.get("name") or default_name(request.data, ending)
    return replace(request, **{"name": name, "run": Path("runs") / name, **given})


def check(request: Request) -> None:
    """Check every setting.

    Raises
    ------
    SettingsError
        If one cannot be.
    ImageFileError
        If there is no such folder of images.
    """
    if request.steps < 1:
        message = f"The number of steps must be at least 1, but is {request.steps}."
        raise SettingsError(message)
    if request.threads < 1:
        message = f"The number of threads must be at least 1, but is {request.threads}."
        raise SettingsError(message)
    if request.seed < 0:
        message = f"The seed must be 0 or more, but is {request.seed}."
        raise SettingsError(message)
    if request.method not in OWN_METHODS:
        message = f"A folder of frames can be learnt from by {', '.join(OWN_METHODS)}, not by '{request.method}'."
        raise SettingsError(message)
    if not NAME_PATTERN.fullmatch(request.name):
        message = f"A model's name has up to 64 lower-case letters, digits, '-' and '_', unlike '{request.name}'."
        raise SettingsError(message)
    if request.name in model_names():
        message = f"There is a model named '{request.name}' already; choose another --name."
        raise SettingsError(message)
    with one_sentence(request.data, "cannot be read"):
        if not request.data.exists():
            message = f"There is no file or folder '{request.data}'."
            raise ImageFileError(message)


def claim(request: Request) -> None:
    """Make the run folder and note whose it is, or check that it is ours.

    Raises
    ------
    SettingsError
        If the folder holds a run with other settings.
    ImageFileError
        If the model is there already, or the folder holds something else or cannot be written to.
    """
    for ending in (".pt", ".json"):
        if (request.run / f"{request.name}{ending}").exists():
            message = f"'{request.run / request.name}{ending}' exists already; choose another --name or --out."
            raise ImageFileError(message)
    note = request.run / REQUEST
    with one_sentence(request.run, "cannot be used for a training"):
        if note.is_file():
            _check_same(request, note)
            return
        if request.run.exists() and (not request.run.is_dir() or any(request.run.iterdir())):
            message = f"'{request.run}' is not an empty folder and holds no run to go on with; choose another --out."
            raise ImageFileError(message)
    make_folder(request.run)
    with one_sentence(request.run, "cannot be written to"):
        note.write_text(json.dumps(request.fixed(), indent=2) + "\n", encoding="utf-8")


def release(request: Request) -> None:
    """Take the note away again, and the folder with it, when nothing came of the run yet."""
    if [path.name for path in request.run.iterdir()] == [REQUEST]:
        (request.run / REQUEST).unlink()
        request.run.rmdir()


def _check_same(request: Request, note: Path) -> None:
    try:
        earlier = dict(json.loads(note.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        message = f"'{note}' is damaged; choose another --out."
        raise SettingsError(message) from error
    asked = request.fixed()
    if differing := [key for key in asked if asked[key] != earlier.get(key)]:
        key = differing[0]
        message = (
            f"'{request.run}' holds a run with {key} {earlier.get(key)} instead of {asked[key]}; "
            "give the same settings to go on with it, or choose another --out."
        )
        raise SettingsError(message)
