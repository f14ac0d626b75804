"""Fencing for high-availability clusters.

>>> import fencekit
>>> plug = fencekit.Device("kasa", ip="10.20.20.202")
>>> plug.off()  # doctest: +SKIP
Confirmation(before='on', commands=1, looks=1)

A call that switches something has succeeded when it returns; everything else is a :class:`FenceError`. Three calls tell by
their result instead: ``verify``, whose report is true only when the node is proven dead, ``doctor``, and ``reboot``, whose
off is certain but whose on may have failed. A false "it is off" destroys data, so nothing that is unknown is ever taken for
off. :mod:`fencekit.aio` has the same calls for asyncio.
"""

from typing import TYPE_CHECKING, Any

from ._cluster import Cluster, discover
from ._device import Device
from ._errors import (
    AuthenticationError,
    ConfigError,
    DeviceTimeout,
    DeviceUnreachable,
    FenceError,
    NotConfirmed,
    ProtocolError,
    Refused,
    Unsupported,
    VerificationFailed,
    WrongDevice,
)
from ._fencekit import __version__ as __version__
from ._records import (
    Advice,
    Confirmation,
    DeviceStatus,
    DeviceSwitch,
    Diagnosis,
    Evidence,
    File,
    Found,
    Generated,
    Identity,
    NodeStatus,
    Outlet,
    PowerReading,
    Rebooted,
    Report,
)

if TYPE_CHECKING:
    from . import aio as aio

__all__ = [
    "Advice",
    "AuthenticationError",
    "Cluster",
    "ConfigError",
    "Confirmation",
    "Device",
    "DeviceStatus",
    "DeviceSwitch",
    "DeviceTimeout",
    "DeviceUnreachable",
    "Diagnosis",
    "Evidence",
    "FenceError",
    "File",
    "Found",
    "Generated",
    "Identity",
    "NodeStatus",
    "NotConfirmed",
    "Outlet",
    "PowerReading",
    "ProtocolError",
    "Rebooted",
    "Refused",
    "Report",
    "Unsupported",
    "VerificationFailed",
    "WrongDevice",
    "aio",
    "discover",
]

# Everything is called by the name that it is imported by, in messages and in pickles.
for _name in __all__:
    if _name in globals():
        globals()[_name].__module__ = __name__
del _name


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than all of fencekit; whoever blocks does without.
    if name == "aio":
        import importlib

        return importlib.import_module(".aio", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
