"""The same calls for asyncio.

>>> from fencekit.aio import Device
>>> await Device("kasa", ip="10.20.20.202").status()  # doctest: +SKIP
'on'

All of them are done on one thread, however many there are. Cancelling one stops it; what was being switched may be in
either state then. After a fork they raise RuntimeError in the child, since the thread stayed with the parent.
"""

import asyncio
from typing import Any, Coroutine, Generator, Iterable, List, Optional, TypeVar, Union

from . import _fencekit, _records
from ._cluster import _File, _Path, search
from ._device import _Named
from ._records import (
    Confirmation,
    DeviceSwitch,
    Diagnosis,
    Found,
    Generated,
    Identity,
    NodeStatus,
    Outlet,
    PowerReading,
    Rebooted,
    Report,
)

__all__ = ["Cluster", "Device", "discover"]

_T = TypeVar("_T")


def _settle(future: "asyncio.Future[Any]", value: Any, error: Optional[BaseException]) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


async def _ended(work: "_fencekit.Work[_T]") -> _T:
    loop = asyncio.get_running_loop()
    future: "asyncio.Future[_T]" = loop.create_future()

    def done(value: Any, error: Optional[BaseException]) -> None:
        try:
            loop.call_soon_threadsafe(_settle, future, value, error)
        except RuntimeError:
            pass  # The loop was closed meanwhile: nobody waits any longer.

    running = work.start(done)
    try:
        return await future
    finally:
        running.stop()


class _Unawaited(Coroutine[Any, Any, _T]):
    """A call for a report that nobody has awaited yet, and that is no answer: a plain coroutine is true, and
    ``if cluster.verify(node)`` would take every node for dead.
    """

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, _T]) -> None:
        self._coroutine = coroutine

    def __bool__(self) -> bool:
        self._coroutine.close()
        raise TypeError("the call was not awaited, so there is no report: write `await` before it")

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()


class Device(_Named):
    """As :class:`fencekit.Device`, with calls that are awaited."""

    __slots__ = ()

    async def status(self, *, timeout: Optional[float] = None) -> str:
        """See :meth:`fencekit.Device.status`."""
        return await _ended(self._device.status(timeout))

    async def on(self, *, timeout: Optional[float] = None) -> Confirmation:
        """See :meth:`fencekit.Device.on`."""
        return _records.confirmation(await _ended(self._device.on(timeout)))

    async def off(self, *, timeout: Optional[float] = None) -> Confirmation:
        """See :meth:`fencekit.Device.off`."""
        return _records.confirmation(await _ended(self._device.off(timeout)))

    async def reboot(self, *, timeout: Optional[float] = None) -> Rebooted:
        """See :meth:`fencekit.Device.reboot`."""
        return _records.rebooted(await _ended(self._device.reboot(timeout)))

    async def outlets(self, *, timeout: Optional[float] = None) -> List[Outlet]:
        """See :meth:`fencekit.Device.outlets`."""
        return _records.outlets(await _ended(self._device.outlets(timeout)))

    async def power_reading(self, *, timeout: Optional[float] = None) -> PowerReading:
        """See :meth:`fencekit.Device.power_reading`."""
        return _records.power_reading(await _ended(self._device.power_reading(timeout)))

    async def identity(self, *, timeout: Optional[float] = None) -> Identity:
        """See :meth:`fencekit.Device.identity`."""
        return _records.identity(await _ended(self._device.identity(timeout)))


class Cluster(_File):
    """As :class:`fencekit.Cluster`, with calls that are awaited. ``load`` and ``from_dict`` are plain calls: they read
    one small file at most.
    """

    __slots__ = ()

    async def status(self, *nodes: str, timeout: Optional[float] = None) -> List[NodeStatus]:
        """See :meth:`fencekit.Cluster.status`."""
        return _records.statuses(await _ended(self._cluster.status(list(nodes), timeout)))

    async def on(self, node: str, *, timeout: Optional[float] = None) -> List[DeviceSwitch]:
        """See :meth:`fencekit.Cluster.on`."""
        return _records.switches(await _ended(self._cluster.on(node, timeout)))

    async def off(self, node: str, *, timeout: Optional[float] = None) -> List[DeviceSwitch]:
        """See :meth:`fencekit.Cluster.off`."""
        return _records.switches(await _ended(self._cluster.off(node, timeout)))

    async def reboot(self, node: str, *, timeout: Optional[float] = None) -> List[DeviceSwitch]:
        """See :meth:`fencekit.Cluster.reboot`."""
        return _records.switches(await _ended(self._cluster.reboot(node, timeout)))

    def fence(
        self, node: str, *, wait: Optional[float] = None, timeout: Optional[float] = None
    ) -> Coroutine[Any, Any, Report]:
        """See :meth:`fencekit.Cluster.fence`. It is to be awaited, as :meth:`verify` is."""
        return _Unawaited(self._fence(node, wait, timeout))

    async def _fence(self, node: str, wait: Optional[float], timeout: Optional[float]) -> Report:
        return _records.fenced(await _ended(self._cluster.fence(node, wait, timeout)))

    def verify(
        self, node: str, *, wait: Optional[float] = None, timeout: Optional[float] = None
    ) -> Coroutine[Any, Any, Report]:
        """See :meth:`fencekit.Cluster.verify`. It is to be awaited; taken for true or false without that, it raises
        TypeError.
        """
        return _Unawaited(self._verify(node, wait, timeout))

    async def _verify(self, node: str, wait: Optional[float], timeout: Optional[float]) -> Report:
        return _records.report(await _ended(self._cluster.verify(node, wait, timeout)))

    async def generate(
        self,
        kind: str,
        *,
        file: Optional[_Path] = None,
        node: Optional[str] = None,
        ntp_server: Optional[str] = None,
        secrets_file: Optional[str] = None,
        resolve: bool = False,
        timeout: Optional[float] = None,
    ) -> Generated:
        """See :meth:`fencekit.Cluster.generate`."""
        work = self._cluster.generate(kind, file, node, ntp_server, secrets_file, resolve, timeout)
        return _records.generated(await _ended(work))

    async def doctor(self, *nodes: str, networks: bool = True, timeout: Optional[float] = None) -> Diagnosis:
        """See :meth:`fencekit.Cluster.doctor`."""
        return _records.diagnosis(await _ended(self._cluster.doctor(list(nodes), networks, timeout)))


async def discover(
    targets: Union[str, Iterable[str]] = (),
    *,
    range: Optional[str] = None,
    wait: Optional[float] = None,
    timeout: Optional[float] = None,
) -> List[Found]:
    """See :func:`fencekit.discover`."""
    return _records.found(await _ended(search(targets, range, wait, timeout)))
