"""What can go wrong. The texts are one line each, say what to do next, and never hold a password."""

from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._records import Report


class FenceError(Exception):
    """Something kept an operation from succeeding. It says nothing of a power state.

    Attributes:
        device: the device as messages call it, ``"kasa @ 10.20.20.202"``; None where no device is concerned.
        plug: its outlet, where one was named.
        exit_code: what a program of the ``fencekit`` kind ends with: 2 for wrong usage or configuration, 3 when a
            verification is inconclusive, else 1.
        agent_exit_code: what a fence agent ends with: always 1. There 2 means that the power is off, so an agent must
            never end with ``exit_code``.
    """

    device: Optional[str]
    plug: Optional[str]
    exit_code: int
    agent_exit_code: int = 1

    def __init__(
        self,
        message: str = "",
        *,
        device: Optional[str] = None,
        plug: Optional[str] = None,
        exit_code: int = 1,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.device = device
        self.plug = plug
        self.exit_code = exit_code
        for name, value in more.items():
            setattr(self, name, value)


class ConfigError(FenceError, ValueError):
    """An option or a line of a file is wrong; nothing was sent to any device.

    Attributes:
        option: the option's name, with its place in the file where it comes from one.
    """

    option: Optional[str] = None


class AuthenticationError(FenceError):
    """The device refuses the credentials."""


class DeviceUnreachable(FenceError, ConnectionError):
    """No connection: refused, no route, name not found, reset."""


class DeviceTimeout(FenceError, TimeoutError):
    """The time ran out. The device may have acted or not."""


class ProtocolError(FenceError):
    """The reply is not what the protocol allows, or the state cannot be told from it."""


class Refused(FenceError):
    """The device answered that it did not do what was asked."""


class WrongDevice(FenceError):
    """Another device than the expected one answers. Nothing was switched."""


class NotConfirmed(FenceError):
    """The command may have been accepted, but the state was not seen in time."""


class Unsupported(FenceError):
    """This device, or this build of fencekit, cannot do it."""


class VerificationFailed(FenceError):
    """The node is not confirmed off: it is alive, or it cannot be told.

    Attributes:
        report: the verdict with its evidence.
    """

    report: "Report"
