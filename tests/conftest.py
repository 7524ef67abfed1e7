"""How properties are tested: without a deadline, since a busy machine proves nothing about the code."""

import os

from hypothesis import settings

settings.register_profile(
    "weir", parent=settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None
)
settings.load_profile("weir")
