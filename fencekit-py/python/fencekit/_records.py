"""Results as objects: compared, hashed, shown and pickled by their values, and never changed."""

from typing import Any, Dict, Iterator, List, Optional, Tuple, Type, TypeVar

from ._errors import VerificationFailed

_R = TypeVar("_R", bound="_Record")


class _Record:
    """Values by name. Dataclasses would make the import three times as long."""

    __slots__: Tuple[str, ...] = ()

    def __init__(self, **values: Any) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, values.pop(name, None))
        if values:
            names = ", ".join(sorted(values))
            raise TypeError(f"{type(self).__name__} has no {names}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is not changed once it is made")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is not changed once it is made")

    def _values(self) -> Iterator[Tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(mine == getattr(other, name) for name, mine in self._values())

    def __hash__(self) -> int:
        values = (tuple(value) if isinstance(value, list) else value for _, value in self._values())
        return hash((type(self), *values))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._values() if value is not None)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self: _R) -> Tuple[Any, ...]:
        return _remake, (type(self), dict(self._values()))

    def to_dict(self) -> Dict[str, Any]:
        """The values as JSON has them."""
        return {name: _plain(value) for name, value in self._values()}


def _remake(kind: Type[_R], values: Dict[str, Any]) -> _R:
    return kind(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, _Record):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


class PowerReading(_Record):
    """One reading of a meter. What the device did not send is None, never zero.

    Attributes:
        watts: active power.
        volts: voltage.
        amps: current.
        kilowatt_hours: the energy counter.
    """

    __slots__ = ("watts", "volts", "amps", "kilowatt_hours")
    watts: float
    volts: Optional[float]
    amps: Optional[float]
    kilowatt_hours: Optional[float]


class Identity(_Record):
    """Who a device says it is. What it does not say is None."""

    __slots__ = ("mac", "device_id", "guid", "name", "model", "firmware")
    mac: Optional[str]
    device_id: Optional[str]
    guid: Optional[str]
    name: Optional[str]
    model: Optional[str]
    firmware: Optional[str]

    def to_dict(self) -> Dict[str, Any]:
        """What the device said, and nothing else."""
        return {name: value for name, value in self._values() if value is not None}


class Outlet(_Record):
    """One outlet of a device.

    Attributes:
        plug: what to give as ``plug``: a number from 1, or a name.
        alias: the owner's name for it; empty where there is none.
        state: ``"on"``, ``"off"`` or ``"unknown"``.
        detail: why the state is not known.
    """

    __slots__ = ("plug", "alias", "state", "detail")
    plug: str
    alias: str
    state: str
    detail: Optional[str]


class Confirmation(_Record):
    """A state that was confirmed, and how.

    Attributes:
        before: the state before anything was sent: ``"on"``, ``"off"`` or ``"unknown"``.
        commands: how often the command was sent.
        looks: how many looks were taken after it.
        power: the meter's reading that ``off_max_watts`` asked for.
        identity: who answered, where the device says.
    """

    __slots__ = ("before", "commands", "looks", "power", "identity")
    before: str
    commands: int
    looks: int
    power: Optional[PowerReading]
    identity: Optional[Identity]


class Rebooted(_Record):
    """A reboot. Its off part was confirmed, or there is no such object.

    Attributes:
        off: the confirmed off.
        on: the confirmed on after it; None when that failed, which does not undo the off.
        error: why the on failed, in one line.
    """

    __slots__ = ("off", "on", "error")
    off: Confirmation
    on: Optional[Confirmation]
    error: Optional[str]


class DeviceStatus(_Record):
    """What a look at one device of a node showed.

    Attributes:
        device: the device as messages call it.
        method, address, plug: the parts of that.
        level: 1, or 2 for a fallback.
        power: ``"on"``, ``"off"`` or ``"unknown"``.
        detail: why it is unknown.
        watts: what its meter reads, where the same reply says so.
        identity: who answered, where the device says.
        elapsed_ms: how long it took.
    """

    __slots__ = (
        "device",
        "method",
        "address",
        "plug",
        "level",
        "power",
        "detail",
        "watts",
        "identity",
        "elapsed_ms",
    )
    device: str
    method: str
    address: str
    plug: Optional[str]
    level: int
    power: str
    detail: Optional[str]
    watts: Optional[float]
    identity: Optional[Identity]
    elapsed_ms: int


class NodeStatus(_Record):
    """What the devices of a node say together.

    Attributes:
        node: its name.
        power: ``"off"`` only when every device of the first level is off, or the fallback; ``"on"`` as soon as one is
            on, a fallback outlet aside, which is on until it is needed; else ``"unknown"``.
        detail: why it is unknown.
        devices: the devices, in the file's order and the fallback last.
    """

    __slots__ = ("node", "power", "detail", "devices")
    node: str
    power: str
    detail: Optional[str]
    devices: List[DeviceStatus]


class DeviceSwitch(_Record):
    """What became of switching one device of a node.

    Attributes:
        device: the device as messages call it.
        method, address, plug: the parts of that.
        level: 1, or 2 for a fallback.
        wanted: ``"on"`` or ``"off"``.
        confirmed: whether the device, asked anew, was seen so.
        before: the state before anything was sent.
        commands: how often the command was sent.
        looks: how many looks were taken after it.
        watts: the meter's reading that ``off_max_watts`` asked for.
        identity: who answered, where the device says.
        elapsed_ms: how long it took.
        error: what kept it from being confirmed.
    """

    __slots__ = (
        "device",
        "method",
        "address",
        "plug",
        "level",
        "wanted",
        "confirmed",
        "before",
        "commands",
        "looks",
        "watts",
        "identity",
        "elapsed_ms",
        "error",
    )
    device: str
    method: str
    address: str
    plug: Optional[str]
    level: int
    wanted: str
    confirmed: bool
    before: Optional[str]
    commands: Optional[int]
    looks: Optional[int]
    watts: Optional[float]
    identity: Optional[Identity]
    elapsed_ms: int
    error: Optional[str]


class Evidence(_Record):
    """One probe's contribution to a verdict.

    Attributes:
        probe: ``"power"``, ``"meter"``, ``"icmp"``, ``"tcp"``, ``"neighbour"``, ``"path"`` or ``"witness"``.
        subject: the device, or the address that was probed.
        network: the network's name; None for power and meter.
        outcome: ``"off"``, ``"on"``, ``"below"``, ``"above"``, ``"silent"``, ``"answered"``, or ``"unknown"`` when
            the probe itself failed.
        detail: the same in words.
        at_ms: when that was known, since the verification began.
        elapsed_ms: how long the deciding probe took; for silence, how long was listened.
    """

    __slots__ = ("probe", "subject", "network", "outcome", "detail", "at_ms", "elapsed_ms")
    probe: str
    subject: str
    network: Optional[str]
    outcome: str
    detail: str
    at_ms: int
    elapsed_ms: int


class Report(_Record):
    """A verdict on a node, with everything that led to it. It is true only when the node is confirmed off.

    Attributes:
        node: its name.
        verdict: ``"confirmed-off"``, the only success; ``"still-alive"`` or ``"inconclusive"``.
        elapsed_ms: how long the verification took.
        rule: the rule that decided.
        reasons: what speaks for the verdict, or against a confirmation.
        evidence: everything that was seen.
        off: what became of switching the devices, where the node was fenced; else None.
        level: the level whose off made the verdict of a fence, 1 or 2 for the fallback; None unless it is confirmed off.
        line: the verdict and its first reasons on one line.
        exit_code: that of ``fencekit verify``: 0 confirmed off, 1 alive, 3 inconclusive.
    """

    __slots__ = ("node", "verdict", "elapsed_ms", "rule", "reasons", "evidence", "off", "level", "line", "exit_code")
    node: str
    verdict: str
    elapsed_ms: int
    rule: str
    reasons: List[str]
    evidence: List[Evidence]
    off: Optional[List[DeviceSwitch]]
    level: Optional[int]
    line: str
    exit_code: int

    @property
    def confirmed_off(self) -> bool:
        """Whether the node is proven dead."""
        return self.verdict == "confirmed-off"

    def __bool__(self) -> bool:
        return self.confirmed_off

    def __str__(self) -> str:
        return self.line

    def to_dict(self) -> Dict[str, Any]:
        """The document that ``fencekit verify --json`` or ``fencekit fence --json`` prints."""
        left_out = ("line", "exit_code") if self.off is not None else ("line", "exit_code", "off", "level")
        return {name: _plain(value) for name, value in self._values() if name not in left_out}


class Advice(_Record):
    """One thing that ``doctor`` found.

    Attributes:
        severity: ``"info"``, ``"warning"``, ``"unknown"`` (it could not be examined) or ``"problem"``.
        topic: one word for programs, as ``"reached"``, ``"schedule"`` or ``"drill"``.
        node: the node that it concerns; None for the cluster or this host.
        device: the device that it concerns.
        detail: what was found.
        mend: what to do about it; empty where nothing is to be done.
    """

    __slots__ = ("severity", "topic", "node", "device", "detail", "mend")
    severity: str
    topic: str
    node: Optional[str]
    device: Optional[str]
    detail: str
    mend: str


class Diagnosis(_Record):
    """What is wrong with the fencing of a cluster. It is true when nothing stands against relying on it.

    Attributes:
        outcome: ``"good"``, ``"problem"``, or ``"inconclusive"`` when something could not be examined.
        nodes: the nodes that were examined.
        findings: what was found, node by node, then what concerns the cluster and this host.
        elapsed_ms: how long it took.
    """

    __slots__ = ("outcome", "nodes", "findings", "elapsed_ms")
    outcome: str
    nodes: List[str]
    findings: List[Advice]
    elapsed_ms: int

    def __bool__(self) -> bool:
        return self.outcome == "good"

    @property
    def exit_code(self) -> int:
        """That of ``fencekit doctor``: 0 good, 1 a problem, 3 inconclusive."""
        return {"good": 0, "problem": 1}.get(self.outcome, 3)


class Found(_Record):
    """A device that answered a search. It was neither logged in to nor changed.

    Attributes:
        method: the method that speaks to it.
        address: its address.
        port: the port that answered.
        transport: the value for the option of that name, where the method has one; else empty.
        identity: what it says of itself, which is proven by nothing.
        metered: whether it has a meter, where it says so.
        note: anything worth a word to its owner.
        entry: what to write into the cluster file for it, as far as it is known.
    """

    __slots__ = ("method", "address", "port", "transport", "identity", "metered", "note", "entry")
    method: str
    address: str
    port: int
    transport: str
    identity: Identity
    metered: Optional[bool]
    note: str
    entry: Dict[str, Any]

    def __hash__(self) -> int:
        return hash((self.method, self.address, self.port))


class File(_Record):
    """A generated file.

    Attributes:
        name: its path within the directory that the user chooses.
        text: what is in it.
        secret: whether it holds secrets; then it is for its owner's eyes alone, and shown by no ``repr``.
    """

    __slots__ = ("name", "text", "secret")
    name: str
    text: str
    secret: bool

    def __repr__(self) -> str:
        return f"File(name={self.name!r}, secret={self.secret!r})"


class Generated(str):
    """A generated configuration: the text itself, with what there is to know about it.

    Attributes:
        kind: what it is.
        notes: what the user must know or do, a sentence each.
        holds_secrets: whether the text holds passwords. No ``repr`` shows the text.
        files: the files, where the kind is a directory of them, and those with passwords kept out of the text.
    """

    kind: str
    notes: List[str]
    holds_secrets: bool
    files: List[File]

    def __repr__(self) -> str:
        secret = ", holds secrets" if self.holds_secrets else ""
        return f"<fencekit.Generated {self.kind}, {len(self)} characters{secret}>"


def generated(values: Dict[str, Any]) -> Generated:
    made = Generated(values["text"])
    made.kind = values["kind"]
    made.notes = values["notes"]
    made.holds_secrets = values["holds_secrets"]
    made.files = [File(**one) for one in values["files"]]
    return made


def _with_identity(kind: Type[_R], values: Dict[str, Any]) -> _R:
    who = values["identity"]
    return kind(**{**values, "identity": None if who is None else Identity(**who)})


def statuses(values: List[Dict[str, Any]]) -> List[NodeStatus]:
    return [
        NodeStatus(**{**node, "devices": [_with_identity(DeviceStatus, one) for one in node["devices"]]})
        for node in values
    ]


def switches(values: List[Dict[str, Any]]) -> List[DeviceSwitch]:
    return [_with_identity(DeviceSwitch, one) for one in values]


def report(values: Dict[str, Any]) -> Report:
    document = values["report"]
    off = document.get("off")
    document["off"] = None if off is None else switches(off)
    document["evidence"] = [Evidence(**one) for one in document["evidence"]]
    return Report(line=values["line"], exit_code=values["exit_code"], **document)


def fenced(values: Dict[str, Any]) -> Report:
    """The report of a success.

    Raises:
        VerificationFailed: it is none.
    """
    made = report(values)
    if made.confirmed_off:
        return made
    raise VerificationFailed(
        f"{made.line}: its resources must not be taken over",
        exit_code=made.exit_code,
        report=made,
    )


def diagnosis(values: Dict[str, Any]) -> Diagnosis:
    return Diagnosis(**{**values, "findings": [Advice(**one) for one in values["findings"]]})


def found(values: List[Dict[str, Any]]) -> List[Found]:
    return [_with_identity(Found, one) for one in values]


def power_reading(values: Dict[str, Any]) -> PowerReading:
    return PowerReading(**values)


def identity(values: Dict[str, Any]) -> Identity:
    return Identity(**values)


def outlets(values: List[Dict[str, Any]]) -> List[Outlet]:
    return [Outlet(**one) for one in values]


def confirmation(values: Dict[str, Any]) -> Confirmation:
    power, who = values["power"], values["identity"]
    values["power"] = None if power is None else PowerReading(**power)
    values["identity"] = None if who is None else Identity(**who)
    return Confirmation(**values)


def rebooted(values: Dict[str, Any]) -> Rebooted:
    on = values["on"]
    return Rebooted(
        off=confirmation(values["off"]),
        on=None if on is None else confirmation(on),
        error=values["error"],
    )
