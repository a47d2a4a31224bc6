"""The sample cine of the Slicer module, made by the simulator.

`python -m Testing.slicer.sample_cine` writes the cine, its thumbnail, and the checksum that the module registers.
"""

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
from PIL import Image

from Speckle2SelfLogic.simulation import simulate

MODULE = Path(__file__).parents[2] / "Speckle2SelfSlicer"
CINE = MODULE / "Resources/SampleData/SimulatedCarotid.seq.nrrd"
THUMBNAIL = MODULE / "Resources/Icons/SimulatedCarotid.png"
REGISTRATION = MODULE / "Speckle2SelfSlicerLib/sample_data.py"
SETTINGS = {"phantom": "carotid", "size_yx": (256, 256), "frames": 16, "seed": 3}
FRAME_SECONDS = 0.05
THUMBNAIL_SIZE = (260, 280)


def cine():
    """Return the simulated cine, an image (T, Y, X)."""
    return simulate(**SETTINGS).speckled


def header(image):
    """Return the NRRD header of a cine as Slicer 5.8 writes it, which later versions read as well.

    The axis of frames comes first. Frames become volumes of one slice with IJKToRAS diag(-spacing, -spacing, 1), as
    Slicer's DICOM reader gives them.
    """
    frames, rows, columns = image.pixels.shape
    row_mm, column_mm = image.spacing_mm[1], image.spacing_mm[0]
    seconds = " ".join(f"{number * FRAME_SECONDS:g}" for number in range(frames))
    return f"""NRRD0005
# A simulated carotid artery over one heart beat, no patient: {image.provenance.history[0]}.
type: unsigned char
dimension: 4
space: left-posterior-superior
sizes: {frames} {columns} {rows} 1
space directions: none ({column_mm:g},0,0) (0,{row_mm:g},0) (0,0,1)
kinds: list domain domain domain
labels: "time" "" "" ""
units: "s" "" "" ""
encoding: gzip
space origin: (0,0,0)
DataNodeClassName:=vtkMRMLScalarVolumeNode
axis 0 index type:=numeric
axis 0 index values:={seconds}

"""


def encode(image):
    """Return the bytes of a `.seq.nrrd` file, the same each time."""
    frames_last = np.moveaxis(image.pixels, 0, -1)
    return header(image).encode("ascii") + gzip.compress(frames_last.tobytes(), compresslevel=9, mtime=0)


def thumbnail(image):
    """Return a picture of the first frame, cut at its sides."""
    frame = Image.fromarray(image.pixels[0])
    width, height = THUMBNAIL_SIZE
    margin = (frame.width - frame.height * width / height) / 2
    return frame.resize(THUMBNAIL_SIZE, Image.Resampling.LANCZOS, (margin, 0, frame.width - margin, frame.height))


def main():
    """Run the command."""
    image = cine()
    content = encode(image)
    CINE.parent.mkdir(exist_ok=True)
    CINE.write_bytes(content)
    thumbnail(image).save(THUMBNAIL, optimize=True)
    checksum = hashlib.sha256(content).hexdigest()
    text = REGISTRATION.read_text(encoding="utf-8")
    REGISTRATION.write_text(
        re.sub(r'(?m)^SHA256 = ".*"$', f'SHA256 = "{checksum}"', text), encoding="utf-8", newline="\n"
    )
    print(f"{CINE.name}: {len(content)} bytes, SHA256 {checksum}")  # noqa: T201


if __name__ == "__main__":
    main()
