"""The admin listener: what operators and their machines ask the gateway about itself."""

from gateway.admin.server import Admin

__all__ = ["Admin"]
