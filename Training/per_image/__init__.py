"""Methods that learn from the one frame that they despeckle, and BM3D. Each is a `FrameDespeckler` of the core."""

from Training.per_image.methods import PER_IMAGE_METHODS, per_image_method

__all__ = ["PER_IMAGE_METHODS", "per_image_method"]
