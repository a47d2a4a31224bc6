"""What can go wrong, in words a user can act on."""


class Speckle2SelfError(Exception):
    """Root of every error that this package raises on purpose. Its text is one sentence for the user."""


class ImageFileError(Speckle2SelfError):
    """A file cannot be read, is damaged, or cannot be written."""


class UnsupportedImageError(Speckle2SelfError):
    """The pixels are of a kind that cannot be despeckled (non-finite values, wrong number of axes)."""


class GeometryError(Speckle2SelfError):
    """Spacing, origin or direction are inconsistent, or the chosen format cannot hold them."""


class WeightsError(Speckle2SelfError):
    """Network weights are missing, damaged, unsafe, or belong to another network."""


class SettingsError(Speckle2SelfError):
    """An option has a value that it cannot have."""


class CancelledError(Speckle2SelfError):
    """The caller asked to stop; nothing was written."""


class GeometryLossWarning(UserWarning):
    """The chosen file format cannot hold all of the image's geometry."""
