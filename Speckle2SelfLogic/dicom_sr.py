"""Measurements as a DICOM structured report (TID 1500, Measurement Report), written with highdicom."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pydicom.sr.coding import Code

from Speckle2SelfLogic import RESEARCH_USE
from Speckle2SelfLogic.dicom_context import MANUFACTURER, PRODUCT, ascii_text, check_new, equipment
from Speckle2SelfLogic.dicom_geometry import frame_count
from Speckle2SelfLogic.dicom_seg import quiet_highdicom, readable_source, save_new
from Speckle2SelfLogic.errors import SettingsError
from Speckle2SelfLogic.image import Provenance
from Speckle2SelfLogic.plain_errors import one_sentence

if TYPE_CHECKING:
    from highdicom.sr import Measurement

MEASUREMENT_CODES: Mapping[str, Code] = {  # terms of CID 3481, 7469 and 10069 in DICOM PS3.16
    "lumen diameter": Code("397413000", "SCT", "Vessel lumen diameter"),
    "lumen area": Code("397415007", "SCT", "Vessel lumen cross-sectional area"),
    "plaque area": Code("122542", "DCM", "Plaque Area"),
    "diameter": Code("81827009", "SCT", "Diameter"),
    "area": Code("42798000", "SCT", "Area"),
    "distance": Code("121206", "DCM", "Distance"),
}
"""Standard terms of measurements by name; other names get a code of the private scheme ``99S2S``."""
PRIVATE_SCHEME = "99S2S"
_UNIT_MEANINGS = {"mm": "millimeter", "mm2": "square millimeter", "1": "no units", "%": "percent", "dB": "decibel"}
_UNITS_OF_VESSELS = {"": "1", "px": "{pixels}", "px2": "{pixels}"}  # as UCUM writes them
_UNIT = re.compile(r"[!-~]{1,16}")  # printable ASCII without spaces, as UCUM codes are


@dataclass(frozen=True)
class NamedMeasurement:
    """One number.

    Parameters
    ----------
    name
        What was measured, for example ``"lumen diameter"``; see `MEASUREMENT_CODES`.
    value
        A finite number.
    unit
        Unit as UCUM writes it: ``"mm"``, ``"mm2"``, ``"dB"``, ``"%"``, ``"1"`` for none, pixels are
        ``"{pixels}"``.
    frame
        Frame of the source counted from 0; None for the whole image.
    """

    name: str
    value: float
    unit: str
    frame: int | None = None

    def __post_init__(self) -> None:
        if not ascii_text(self.name, 64):
            message = "A measurement needs a name."
            raise SettingsError(message)
        if not math.isfinite(self.value):
            message = f"The measurement '{self.name}' must be a finite number, but is {self.value}."
            raise SettingsError(message)
        if not _UNIT.fullmatch(self.unit):
            message = f"The unit of '{self.name}' must be a UCUM code such as mm, mm2 or 1, but is '{self.unit}'."
            raise SettingsError(message)


def read_measurements(path: Path) -> tuple[NamedMeasurement, ...]:
    """Read measurements from a JSON file.

    It holds a list of objects with ``name``, ``value``, ``unit`` and maybe ``frame``, or what ``measure --json``
    prints, of which figures that could not be measured are left out.

    Raises
    ------
    SettingsError
        If the file holds anything else.
    ImageFileError
        If it cannot be read.
    """
    with one_sentence(path, "cannot be read"):
        text = path.read_bytes()
    try:
        found = json.loads(text)
        return tuple(_measurement(item) for item in (_of_vessel(found) if isinstance(found, dict) else found))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        message = (
            f"'{path}' is not a JSON list of measurements; each needs a name (text), a value (number) and a "
            "unit (text), and may have a frame (whole number)."
        )
        raise SettingsError(message) from error


def _of_vessel(report: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Yield the figures of a report of `Speckle2SelfLogic.geometry.files.as_dict` one by one."""
    frames = [(each["frame"], each["measures"]) for each in report["frames"]]
    cine = {name: figure for name, figure in report["cine"].items() if isinstance(figure, dict)}
    stack = {name: figure for name, figure in (report.get("stack") or {}).items() if isinstance(figure, dict)}
    for frame, figures in (*frames, (None, cine), (None, stack)):
        for name, figure in figures.items():
            if figure["value"] is not None:
                unit = _UNITS_OF_VESSELS.get(figure["unit"], figure["unit"])
                yield {"name": name.replace("_", " "), "value": figure["value"], "unit": unit, "frame": frame}


def _measurement(item: dict[str, object]) -> NamedMeasurement:
    if set(item) - {"name", "value", "unit", "frame"} or not all(
        isinstance(item[key], str) for key in ("name", "unit")
    ):
        raise ValueError
    value, frame = item["value"], item.get("frame")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (frame is None or type(frame) is int):
        raise TypeError
    return NamedMeasurement(str(item["name"]), float(value), str(item["unit"]), frame)


def write_report(
    measurements: Sequence[NamedMeasurement], source: Path, target: Path, *, models: Sequence[str] = ()
) -> None:
    """Write measurements as a DICOM structured report on the DICOM image that they were made on.

    The report is a Comprehensive SR after template TID 1500. Patient and study are those of the source; it is marked
    as not verified, since no person has looked at it.

    Parameters
    ----------
    measurements
        At least one.
    source
        The DICOM image.
    target
        The file to write, which must not exist.
    models
        Name and checksum of the models that the measurements rest on.

    Raises
    ------
    ImageFileError
        If the source is no DICOM image, belongs to no study, or the target exists or cannot be written.
    SettingsError
        If there is no measurement, a frame does not exist, or highdicom is not installed.
    """
    check_new(target)
    header = readable_source(source)
    frames = frame_count(header)
    if not measurements:
        message = "A report needs at least one measurement."
        raise SettingsError(message)
    for measurement in measurements:
        if measurement.frame is not None and not 0 <= measurement.frame < frames:
            message = (
                f"'{measurement.name}' is of frame {measurement.frame}, but the source has frames 0 to {frames - 1}."
            )
            raise SettingsError(message)
    with quiet_highdicom(source, target):
        save_new(_report(measurements, header, models), target)


def _report(measurements: Sequence[NamedMeasurement], header: Dataset, models: Sequence[str]) -> Dataset:
    import highdicom
    from highdicom import sr

    observer = sr.ObserverContext(
        observer_type=sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=highdicom.UID(), name=PRODUCT, manufacturer_name=MANUFACTURER, model_name=PRODUCT
        ),
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=highdicom.UID(), identifier=f"{PRODUCT} measurements"),
        measurements=[_content(measurement, header) for measurement in measurements],
        source_images=[sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=sr.CodedConcept("16310003", "SCT", "Ultrasonography"),
        imaging_measurements=[group],
        title=sr.CodedConcept("126000", "DCM", "Imaging Measurement Report"),
    )
    report = sr.ComprehensiveSR(
        evidence=[header],
        content=content[0],
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    report.SeriesDescription = ascii_text(f"{PRODUCT} measurements. {RESEARCH_USE}", 64)
    report.ManufacturerModelName = PRODUCT
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = PRIVATE_SCHEME, f"{PRODUCT} names of measurements"
    report.CodingSchemeIdentificationSequence = [scheme]
    report.ContributingEquipmentSequence.append(equipment(Provenance(models=tuple(models)), "Measurement"))
    return report


def _content(measurement: NamedMeasurement, header: Dataset) -> Measurement:
    from highdicom import sr

    frames = None if measurement.frame is None else [measurement.frame + 1]  # DICOM counts from 1
    if frame_count(header) == 1:
        frames = None
    return sr.Measurement(
        name=_name_code(measurement.name),
        value=measurement.value,
        unit=Code(measurement.unit, "UCUM", _UNIT_MEANINGS.get(measurement.unit, measurement.unit)),
        referenced_images=[sr.SourceImageForMeasurement(header.SOPClassUID, header.SOPInstanceUID, frames)],
    )


def _name_code(name: str) -> Code:
    """Return the term of a measurement; that of a private name is made of it, so that it is always the same."""
    known = MEASUREMENT_CODES.get(name.lower().replace("_", " "))
    digest = hashlib.sha256(name.encode()).hexdigest()[:12].upper()
    return known or Code(f"S2S-{digest}", PRIVATE_SCHEME, ascii_text(name, 64))
