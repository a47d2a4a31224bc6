"""Property tests draw the same examples every time, however busy the machine is, so that a run can be repeated.

HYPOTHESIS_PROFILE=explore draws new ones.
"""

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

if "SPECKLE2SELF_CACHE" not in os.environ:  # tests neither use nor fill the user's cache
    os.environ["SPECKLE2SELF_CACHE"] = tempfile.mkdtemp(prefix="speckle2self-cache-")
    atexit.register(shutil.rmtree, os.environ["SPECKLE2SELF_CACHE"], ignore_errors=True)
