"""The C library of fencekit through ctypes, for hosts without the Python package.

It declares what the agent beside it needs; the header, fencekit.h, has the rest. A handle is a number to Python: it is
freed once, when the object that holds it goes.
"""

import ctypes
import json
import os

RESULT_OK = 0
POWER_ON = 1
POWER_OFF = 2
SONAME = "libfencekit.so.0"


class _Outlet(ctypes.Structure):
    _fields_ = [("plug", ctypes.c_char_p), ("alias", ctypes.c_char_p), ("power", ctypes.c_uint32)]


class FenceError(Exception):
    """A call that failed. `result` is its number in fencekit.h."""

    def __init__(self, result, message):
        super().__init__(message)
        self.result = result


class Library:
    """libfencekit, loaded from `path`, from $FENCEKIT_LIBRARY, or from where the linker looks."""

    def __init__(self, path=None):
        self._lib = ctypes.CDLL(path or os.environ.get("FENCEKIT_LIBRARY") or SONAME)
        handle, place, text = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p
        result, milliseconds = ctypes.c_uint32, ctypes.c_uint32
        self._declare("fencekit_version", text)
        self._declare("fencekit_live_handles", ctypes.c_size_t)
        self._declare("fencekit_result_text", text, result)
        self._declare("fencekit_error_message", text, handle)
        self._declare("fencekit_error_free", result, handle)
        self._declare("fencekit_device_from_json", result, text, place, place)
        self._declare("fencekit_device_label", text, handle)
        self._declare("fencekit_device_status", result, handle, milliseconds, ctypes.POINTER(ctypes.c_uint32), place)
        self._declare("fencekit_device_off", result, handle, milliseconds, place)
        self._declare("fencekit_device_on", result, handle, milliseconds, place)
        self._declare("fencekit_device_outlets", result, handle, milliseconds, place, place)
        self._declare("fencekit_device_free", result, handle)
        self._declare("fencekit_outlets_count", ctypes.c_size_t, handle)
        self._declare("fencekit_outlets_get", result, handle, ctypes.c_size_t, ctypes.POINTER(_Outlet))
        self._declare("fencekit_outlets_free", result, handle)

    def _declare(self, name, result, *arguments):
        function = getattr(self._lib, name)
        function.restype = result
        function.argtypes = arguments
        setattr(self, name, function)

    def version(self):
        """The version of the library that is loaded."""
        return self.fencekit_version().decode()

    def call(self, name, *arguments):
        """Calls a function whose last argument is the place for an error; raises FenceError unless it succeeds."""
        error = ctypes.c_void_p()
        result = getattr(self, name)(*arguments, ctypes.byref(error))
        if result == RESULT_OK:
            return
        message = self.fencekit_error_message(error) or self.fencekit_result_text(result)
        message = message.decode("utf-8", "replace")
        self.fencekit_error_free(error)
        raise FenceError(result, message)


class Device:
    """A fence device, made of a method and the options of the fence agents."""

    def __init__(self, library, method, **options):
        self._handle = ctypes.c_void_p()
        self._library = library
        described = json.dumps(dict(options, method=method)).encode()
        library.call("fencekit_device_from_json", described, ctypes.byref(self._handle))

    def label(self):
        """How the device is called in messages."""
        return self._library.fencekit_device_label(self._handle).decode()

    def status(self, timeout):
        """"on" or "off", within so many seconds. Anything else is an error."""
        power = ctypes.c_uint32()
        self._library.call("fencekit_device_status", self._handle, _milliseconds(timeout), ctypes.byref(power))
        if power.value == POWER_OFF:
            return "off"
        if power.value == POWER_ON:
            return "on"
        raise FenceError(RESULT_OK, "the library gave a state that is neither on nor off")

    def off(self, timeout):
        """Switches off, confirmed, within so many seconds."""
        self._library.call("fencekit_device_off", self._handle, _milliseconds(timeout))

    def on(self, timeout):
        """Switches on, confirmed, within so many seconds."""
        self._library.call("fencekit_device_on", self._handle, _milliseconds(timeout))

    def outlets(self, timeout):
        """A tuple for each outlet: what to give as plug, the owner's name for it, and "on", "off" or "unknown"."""
        library, handle, outlet = self._library, ctypes.c_void_p(), _Outlet()
        library.call("fencekit_device_outlets", self._handle, _milliseconds(timeout), ctypes.byref(handle))
        words = {POWER_ON: "on", POWER_OFF: "off"}
        listed = []
        for index in range(library.fencekit_outlets_count(handle)):
            if library.fencekit_outlets_get(handle, index, ctypes.byref(outlet)) == RESULT_OK:
                listed.append((outlet.plug.decode(), outlet.alias.decode(), words.get(outlet.power, "unknown")))
        library.fencekit_outlets_free(handle)
        return listed

    def close(self):
        """Frees the device. It must not be used afterwards."""
        self._library.fencekit_device_free(self._handle)
        self._handle = ctypes.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _milliseconds(seconds):
    return max(1, min(int(float(seconds) * 1000), 86_400_000))
