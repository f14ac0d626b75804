"""A cluster file, for the calls that block and for those that are awaited."""

import os
from typing import Any, Dict, Iterable, List, NoReturn, Optional, Type, TypeVar, Union

from . import _fencekit, _records
from ._errors import ConfigError
from ._records import DeviceSwitch, Diagnosis, Found, Generated, NodeStatus, Report

_C = TypeVar("_C", bound="_File")
_Path = Union[str, "os.PathLike[str]"]


class _File:
    """What both kinds of cluster share."""

    __slots__ = ("_cluster",)

    _cluster: _fencekit.Cluster

    def __init__(self, cluster: _fencekit.Cluster) -> None:
        if not isinstance(cluster, _fencekit.Cluster):
            raise TypeError("a Cluster is made by Cluster.load(path) or Cluster.from_dict(content)")
        self._cluster = cluster

    @classmethod
    def load(cls: Type[_C], path: _Path, *, host_vars: Optional[_Path] = None) -> _C:
        """Reads a cluster file, YAML or JSON. Password files that it names are read when they are needed.

        Args:
            path: the file.
            host_vars: a directory; ``mgmt_ip``, ``storage_ip`` and ``client_ips`` of a node are taken from its
                ``NODE.yml`` too.

        Raises:
            ConfigError: with file, line, column, what is wrong and what to write instead.
        """
        return cls(_fencekit.Cluster.load(path, host_vars))

    @classmethod
    def from_dict(cls: Type[_C], content: Dict[str, Any]) -> _C:
        """Takes what a cluster file would hold. Relative paths in it count from the current directory.

        Raises:
            ConfigError: as for a file, without line and column.
        """
        import json

        try:
            text = json.dumps(content, default=_plain, allow_nan=False)
        except (TypeError, ValueError) as error:
            # The cause is not chained: its traceback holds the content, passwords among it.
            raise ConfigError(f"cluster: {error}; give text, numbers, lists and dictionaries", exit_code=2) from None
        return cls(_fencekit.Cluster.from_json(text))

    @property
    def nodes(self) -> List[str]:
        """The names of the nodes, in the file's order."""
        return self._cluster.nodes

    @property
    def warnings(self) -> List[str]:
        """What is valid in the file but deserves a word."""
        return self._cluster.warnings

    def __repr__(self) -> str:
        # Nothing of the entries: they hold passwords.
        of = self._cluster.path or "of a dictionary"
        return f"<{type(self).__module__}.{type(self).__qualname__} {of}, {len(self.nodes)} nodes>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Cluster holds credentials and is neither pickled nor copied; load it again")


def _plain(value: Any) -> str:
    if hasattr(value, "__fspath__"):
        path = value.__fspath__()
        if isinstance(path, str):
            return path
    if type(value).__module__ == "ipaddress":
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} is not valid")


class Cluster(_File):
    """The nodes of a cluster file.

    ``Cluster.load(path)`` reads one, ``Cluster.from_dict(content)`` takes its content. Every call takes ``timeout`` in
    seconds and answers Ctrl-C, as those of :class:`fencekit.Device` do.
    """

    __slots__ = ()

    def status(self, *nodes: str, timeout: Optional[float] = None) -> List[NodeStatus]:
        """The power of these nodes, or of all; every device is asked at once, each within ``timeout`` (10)."""
        return _records.statuses(self._cluster.status(list(nodes), timeout).run())

    def on(self, node: str, *, timeout: Optional[float] = None) -> List[DeviceSwitch]:
        """Switches all devices of a node on, the fallback first, within ``timeout`` (60).

        Raises:
            FenceError: that of the first device that was not confirmed on.
        """
        return _records.switches(self._cluster.on(node, timeout).run())

    def off(self, node: str, *, timeout: Optional[float] = None) -> List[DeviceSwitch]:
        """Switches all devices of a node off, each confirmed, within ``timeout`` (60); or its fallback, when they cannot
        be confirmed within half of that. That the node is dead is for :meth:`fence` and :meth:`verify` to tell.

        Raises:
            FenceError: that of the first device that was not confirmed off, when no level is.
        """
        return _records.switches(self._cluster.off(node, timeout).run())

    def reboot(self, node: str, *, timeout: Optional[float] = None) -> List[DeviceSwitch]:
        """A node off, confirmed as :meth:`off` does, a rest, and on, within ``timeout`` (60). A failed on is in the
        result: the off counts.

        Raises:
            FenceError: that of the first device that was not confirmed off; nothing is switched on then.
        """
        return _records.switches(self._cluster.reboot(node, timeout).run())

    def fence(self, node: str, *, wait: Optional[float] = None, timeout: Optional[float] = None) -> Report:
        """Switches a node off, confirms it, and watches the node to a verdict. Its fallback is tried when the others
        are not confirmed off, or the node is seen alive all the same.

        Args:
            node: its name.
            wait: how long it is watched, instead of the file's ``verify.wait``.
            timeout: for the whole; the off has what the watching leaves. None: 60 for the off, and the watching ends
                by itself.

        Raises:
            ConfigError: ``timeout`` leaves no time beside ``wait``. Nothing was switched.
            VerificationFailed: the verdict is not confirmed-off; its ``report`` says why.
            DeviceTimeout: the time ran out before a verdict.
        """
        return _records.fenced(self._cluster.fence(node, wait, timeout).run())

    def verify(self, node: str, *, wait: Optional[float] = None, timeout: Optional[float] = None) -> Report:
        """Watches a node to a verdict; never switches anything. The report is true only when the node is confirmed
        off.

        Args:
            node: its name.
            wait: how long it is watched, instead of the file's ``verify.wait``.
            timeout: for the whole. None: it ends by itself, at most ten seconds after ``wait``.

        Raises:
            DeviceTimeout: the time ran out before a verdict.
        """
        return _records.report(self._cluster.verify(node, wait, timeout).run())

    def generate(
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
        """Configuration for others: ``"pcs"``, ``"crmsh"``, ``"cib"``, ``"ha-cluster"`` and so on, as of
        ``fencekit generate``.

        Args:
            kind: what to generate.
            file: where the cluster's nodes have the cluster file; None: where this one was loaded from.
            node: the node that the text is for; None: all of them together (nftables).
            ntp_server: a time server that the devices reach (tasmota, nftables).
            secrets_file: the name that the text has for the file with the passwords (tasmota).
            resolve: whether the addresses of devices that the cluster file names are looked up, once and now (nftables).
            timeout: for these look-ups, and for password files and programs, which are read where the text has to hold a
                password.

        Raises:
            ConfigError: the kind is not known, or cannot carry what the file says.
        """
        work = self._cluster.generate(kind, file, node, ntp_server, secrets_file, resolve, timeout)
        return _records.generated(work.run())

    def doctor(self, *nodes: str, networks: bool = True, timeout: Optional[float] = None) -> Diagnosis:
        """What is wrong with the fencing of these nodes, or of all, and how to mend it. Nothing is switched.

        Args:
            nodes: the names of the nodes.
            networks: whether nodes and witnesses are asked on their networks too.
            timeout: for each device (10).
        """
        return _records.diagnosis(self._cluster.doctor(list(nodes), networks, timeout).run())


def search(
    targets: Union[str, Iterable[str]], range: Optional[str], wait: Optional[float], timeout: Optional[float]
) -> "_fencekit.Work[List[Dict[str, Any]]]":
    """The work of :func:`discover`, for both kinds of calls."""
    named = [targets] if isinstance(targets, str) else [str(target) for target in targets]
    return _fencekit.discover(named, range, wait, timeout)


def discover(
    targets: Union[str, Iterable[str]] = (),
    *,
    range: Optional[str] = None,
    wait: Optional[float] = None,
    timeout: Optional[float] = None,
) -> List[Found]:
    """Finds fence devices on a network. Nothing is logged in to or changed.

    Args:
        targets: networks as ``"10.20.20.0/24"``, broadcast addresses or single devices; the network with the default
            route when there is none.
        range: addresses to knock at one by one, as ``"10.20.20.200-220"``.
        wait: how long answers are waited for (3).
        timeout: for the whole.

    Raises:
        FenceError: nothing could be asked at all.
    """
    return _records.found(search(targets, range, wait, timeout).run())
