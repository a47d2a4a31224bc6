"""Libraries of training that warn while they are imported, imported once before warnings are errors.

PyTorch 2.13 deprecates `torch.jit.script` and uses it itself when ignite asks for `torch.distributed.optim`.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import ignite.handlers  # noqa: F401
    import monai.bundle  # noqa: F401
