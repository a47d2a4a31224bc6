"""The sample cine that ships with the module, offered by Slicer's module "Sample Data"."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin
from urllib.request import pathname2url

from Speckle2SelfSlicerLib.texts import tr as _

CATEGORY = "Speckle2Self"
SAMPLE_NAME = "SimulatedCarotid"
SHA256 = "ad6123714f825f4b08b32bd61c3f96baf9fbc4132a9d734b07117518fef70b34"
RESOURCES = Path(__file__).absolute().parents[1] / "Resources"
CINE = RESOURCES / "SampleData" / f"{SAMPLE_NAME}.seq.nrrd"
THUMBNAIL = RESOURCES / "Icons" / f"{SAMPLE_NAME}.png"


def register_sample_data() -> None:
    """Offer the cine in the module "Sample Data", unless Slicer runs without it. Nothing is downloaded: it lies here.

    From then on `SampleData.downloadSample("SimulatedCarotid")` loads it.
    """
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    if hasattr(SampleDataLogic, "registerCustomSampleDataCategory"):  # new in Slicer 5.12
        SampleDataLogic.registerCustomSampleDataCategory(category=CATEGORY, title=_("Speckle2Self"))
    SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        uris=uri_of(CINE),
        fileNames=CINE.name,
        nodeNames="Simulated carotid",
        checksums=f"SHA256:{SHA256}",
        loadFileTypes="SequenceFile",
        thumbnailFileName=str(THUMBNAIL),
    )


def uri_of(path: Path) -> str:
    """Return the file URI of a path as `urllib` reads it: with four slashes for a network folder of Windows."""
    return urljoin("file:", pathname2url(str(path)))
