"""How properties are tested: without a deadline, since a busy machine proves nothing about the code. And what is not
collected unless it is asked for."""

import gc
import os

from hypothesis import settings

settings.register_profile(
    "weir", parent=settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None
)
settings.load_profile("weir")

# Reading the authorities of the system takes a process longer than most of what it imports, and nothing that they vouch
# for can be reached from here. What is told to trust a file of its own does so all the same.
os.environ["SSL_CERT_FILE"] = os.devnull

# Real services of OpenStack must be installed first: `make test-keystone` and `make test-openstack` do it, and run these.
collect_ignore = [] if os.environ.get("WEIR_OPENSTACK") else ["openstack"]


def pytest_collection_finish() -> None:
    """What is there before the first test stays to the end: the collector need not look through it again and again.

    A gateway that ends has it collect, which in a process that holds all tests and their tools takes several times as
    long as the rest of a test does.
    """
    gc.collect()
    gc.freeze()
