"""A device by its options, for the calls that block and for those that are awaited."""

from typing import Any, List, NoReturn, Optional

from . import _fencekit, _records
from ._records import Confirmation, Identity, Outlet, PowerReading, Rebooted


class _Named:
    """What both kinds of device share."""

    __slots__ = ("_device",)

    _device: _fencekit.Device

    def __init__(self, method: str, **options: Any) -> None:
        self._device = _fencekit.Device(method, options)

    @property
    def method(self) -> str:
        """The method: ``"ipmi"``, ``"kasa"``, ``"tasmota"``, ``"esphome"`` or ``"http"``."""
        return self._device.method

    @property
    def address(self) -> str:
        """Host name or address, with the port where it is not the standard one."""
        return self._device.address

    @property
    def plug(self) -> Optional[str]:
        """The outlet as given, where one was."""
        return self._device.plug

    def __str__(self) -> str:
        return str(self._device)

    def __repr__(self) -> str:
        # Nothing of the options: they hold passwords.
        return f"<{type(self).__module__}.{type(self).__qualname__} {self._device}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a Device holds credentials and is neither pickled nor copied; make it again from its options"
        )


class Device(_Named):
    """A device that can cut and restore the power of one outlet.

    ``method`` is ``"ipmi"``, ``"kasa"``, ``"tasmota"``, ``"esphome"`` or ``"http"``. The options are those of the
    fence agents, names of old among them: ``ip``, ``ipport``, ``username``, ``password``, ``password_file``,
    ``plug``, ``expect_identity``, ``off_max_watts``, ``login_timeout`` and so on. Text and numbers are taken, True and
    False where the option is a yes or no; None counts as left out. Nothing is sent before the first call, and no connection is kept after one.

    Every call takes ``timeout`` in seconds for the whole of it; None is what a fence agent allows by the options.
    Calls let other threads run, and answer Ctrl-C: a device that was being switched may be in either state then.

    Raises:
        ConfigError: an option is unknown, wrong or missing.
    """

    __slots__ = ()

    def status(self, *, timeout: Optional[float] = None) -> str:
        """Asks the device, on a new connection: ``"on"`` or ``"off"``.

        Raises:
            FenceError: the state is not known. It never counts as off.
        """
        return self._device.status(timeout).run()

    def on(self, *, timeout: Optional[float] = None) -> Confirmation:
        """Switches on and returns once the device, asked anew, says so."""
        return _records.confirmation(self._device.on(timeout).run())

    def off(self, *, timeout: Optional[float] = None) -> Confirmation:
        """Switches off and returns once that is confirmed: by the right device, asked anew, and by its meter where
        ``off_max_watts`` is given.

        Raises:
            FenceError: it could not be confirmed. Unless it is a WrongDevice, ConfigError or AuthenticationError, the
                outlet may be in either state.
        """
        return _records.confirmation(self._device.off(timeout).run())

    def reboot(self, *, timeout: Optional[float] = None) -> Rebooted:
        """A confirmed off, five seconds of rest, and on. A failed on is in the result: the off counts."""
        return _records.rebooted(self._device.reboot(timeout).run())

    def outlets(self, *, timeout: Optional[float] = None) -> List[Outlet]:
        """All outlets of the device, whichever one ``plug`` names."""
        return _records.outlets(self._device.outlets(timeout).run())

    def power_reading(self, *, timeout: Optional[float] = None) -> PowerReading:
        """What the outlet's meter reads.

        Raises:
            Unsupported: it has none.
        """
        return _records.power_reading(self._device.power_reading(timeout).run())

    def identity(self, *, timeout: Optional[float] = None) -> Identity:
        """Who the device says it is.

        Raises:
            Unsupported: it does not say.
        """
        return _records.identity(self._device.identity(timeout).run())
