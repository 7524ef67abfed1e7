"""How properties are tested: without a deadline, since a busy machine proves nothing about the code. And what is not
collected unless it is asked for."""

import os

from hypothesis import settings

settings.register_profile(
    "weir", parent=settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None
)
settings.load_profile("weir")

# Real services of OpenStack must be installed first: `make test-keystone` and `make test-openstack` do it, and run these.
collect_ignore = [] if os.environ.get("WEIR_OPENSTACK") else ["openstack"]
