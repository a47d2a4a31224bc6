"""Options of the command line that say how an input is to be read: a region of a screen, or raw data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from Speckle2SelfLogic.errors import SettingsError

if TYPE_CHECKING:
    from Speckle2SelfLogic.batch import FileResult
    from Speckle2SelfLogic.raw.run import RawOptions

_RAW = "Raw data"

Region = Annotated[
    str, typer.Option(help="DICOM: crop to this ultrasound region, a number (see 'dicom regions') or 'tissue'.")
]
Domain = Annotated[
    str, typer.Option(help="What the input holds: bmode, envelope, log-envelope, iq or rf.", rich_help_panel=_RAW)
]
DynamicRange = Annotated[
    float | None, typer.Option("--dynamic-range", help="Log compression in dB, such as 60.", rich_help_panel=_RAW)
]
SamplingMhz = Annotated[
    float | None, typer.Option(help="Sampling rate along a beam, if the file does not tell it.", rich_help_panel=_RAW)
]
Geometry = Annotated[
    str,
    typer.Option(
        help="linear:PITCH_MM, convex:RADIUS_MM:OPENING_DEG or phased:OPENING_DEG; left out: no scan conversion.",
        rich_help_panel=_RAW,
    ),
]
Gain = Annotated[float, typer.Option("--gain", help="Gain in dB; 0 dB is the largest envelope.", rich_help_panel=_RAW)]
TimeGain = Annotated[
    str, typer.Option("--tgc", help="Time gain: DEPTH_MM:DB, ... such as 0:0,30:6.", rich_help_panel=_RAW)
]
Write = Annotated[
    str, typer.Option("--write", help="bmode, envelope (on its beams) or log-envelope.", rich_help_panel=_RAW)
]


def despeckle_function(
    source: Path,
    *,
    region: str,
    domain: str,
    dynamic_range_db: float | None,
    sampling_mhz: float | None,
    geometry: str,
    gain_db: float,
    tgc: str,
    write: str,
) -> Callable[..., FileResult]:
    """Return the function that despeckles one file, reading it as the options say.

    Raises
    ------
    SettingsError
        If options contradict each other, or one has a value that it cannot have.
    """
    from Speckle2SelfLogic.batch import despeckle_file

    options = raw_options(
        str(source),
        domain=domain,
        dynamic_range_db=dynamic_range_db,
        sampling_mhz=sampling_mhz,
        geometry=geometry,
        gain_db=gain_db,
        tgc=tgc,
        write=write,
    )
    if options is None:
        return functools.partial(despeckle_file, region=region)
    if region:
        message = "A region of a DICOM screen is B-mode; leave --region or --domain out."
        raise SettingsError(message)
    from Speckle2SelfLogic.raw.run import despeckle_raw_file

    return functools.partial(despeckle_raw_file, options=options)


def raw_options(
    source: str,
    *,
    domain: str,
    dynamic_range_db: float | None,
    sampling_mhz: float | None,
    geometry: str,
    gain_db: float,
    tgc: str,
    write: str,
) -> RawOptions | None:
    """Return how raw data are read; None for B-mode.

    Raises
    ------
    SettingsError
        If options contradict each other or the name of the source, or one has a value that it cannot have.
    """
    if domain != "bmode":
        return _raw_options(domain, dynamic_range_db, sampling_mhz, geometry, gain_db, tgc, write)
    if source.lower().endswith(".raw"):
        message = f"'{source}' is raw data; say what it holds with --domain envelope, log-envelope, iq or rf."
        raise SettingsError(message)
    given = {"--dynamic-range": dynamic_range_db, "--sampling-mhz": sampling_mhz, "--geometry": geometry}
    given |= {"--gain": gain_db, "--tgc": tgc, "--write": write if write != "bmode" else ""}
    if unfit := [name for name, value in given.items() if value]:
        message = f"B-mode input takes no {unfit[0]}; say what raw data hold with --domain, or leave it out."
        raise SettingsError(message)
    return None


def _raw_options(
    domain: str,
    dynamic_range_db: float | None,
    sampling_mhz: float | None,
    geometry: str,
    gain_db: float,
    tgc: str,
    write: str,
) -> RawOptions:
    from Speckle2SelfLogic.raw.acquisition import Processing
    from Speckle2SelfLogic.raw.run import RawOptions
    from Speckle2SelfLogic.raw.scan_geometry import parse_geometry
    from Speckle2SelfLogic.raw.signals import Domain as SignalDomain

    processing = Processing(
        dynamic_range_db=dynamic_range_db,
        gain_db=gain_db,
        tgc_db=_time_gain(tgc),
        geometry=parse_geometry(geometry) if geometry else None,
    )
    return RawOptions(SignalDomain.named(domain), processing, sampling_mhz, write)


def _time_gain(text: str) -> tuple[tuple[float, float], ...]:
    try:
        pairs = [point.split(":") for point in text.split(",") if point.strip()]
        return tuple((float(depth), float(gain)) for depth, gain in pairs)
    except ValueError as error:
        message = f"The time gain must be DEPTH_MM:DB pairs such as 0:0,30:6, but is '{text}'."
        raise SettingsError(message) from error
