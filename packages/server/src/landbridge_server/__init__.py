"""The Landbridge control plane."""

from landbridge_wire.version import VERSION as __version__

__all__ = ["__version__"]
