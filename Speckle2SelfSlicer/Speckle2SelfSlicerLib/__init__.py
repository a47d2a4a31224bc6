"""The Qt-free half of the Slicer module: MRML volumes to the core and back."""
