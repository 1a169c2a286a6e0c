"""Run by Python at start, before anything else, when this folder is on PYTHONPATH; see __init__.py beside it."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

from inject_points import POINTS

_ARMED = os.environ.get("RELAY_INJECT", "")
_lock = threading.Lock()


class InjectedError(Exception):
    """The exception of a point."""


def pass_point(name: str) -> None:
    """Do the armed action of this point, if it is armed."""
    if not os.path.exists(_ARMED):  # noqa: PTH110 - called very often
        return
    with _lock:
        try:
            with open(_ARMED) as file:  # noqa: PTH123 - likewise
                action, armed, nth = file.read().split("\n")
        except FileNotFoundError:
            return
        if armed != name:
            return
        if int(nth) > 1:
            with open(_ARMED, "w") as file:  # noqa: PTH123
                file.write(f"{action}\n{armed}\n{int(nth) - 1}")
            return
        os.unlink(_ARMED)  # noqa: PTH108
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise InjectedError(name)


def wrapped(function, name: str, *, after: bool):
    """Return the function with a point before or after it."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def call_async(*args, **kwargs):
            if not after:
                pass_point(name)
            result = await function(*args, **kwargs)
            if after:
                pass_point(name)
            return result

        return call_async

    @wraps(function)
    def call(*args, **kwargs):
        if not after:
            pass_point(name)
        result = function(*args, **kwargs)
        if after:
            pass_point(name)
        return result

    return call


def wrap_all(module) -> None:
    """Wrap the functions of a module that has just been loaded."""
    for point in POINTS.values():
        place, _, path = point.target.partition(":")
        if place != module.__name__:
            continue
        *owners, name = path.split(".")
        owner = module
        try:
            for part in owners:
                owner = getattr(owner, part)
            function = inspect.getattr_static(owner, name)
        except AttributeError:
            sys.stderr.write(f"no {point.target} to wrap\n")
            os._exit(99)
        setattr(owner, name, wrapped(function, point.name, after=point.after))


def trace_sql(sqlite3) -> None:
    """Let every connection report its statements before they run."""
    statements = [(p.target.removeprefix("sql:"), p.name) for p in POINTS.values() if p.target.startswith("sql:")]
    connect = sqlite3.connect

    def trace(statement: str) -> None:
        for beginning, name in statements:
            if statement.startswith(beginning):
                pass_point(name)

    @wraps(connect)
    def connect_traced(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = connect_traced


class _Finder(MetaPathFinder):
    """State: the modules to wrap when they are loaded."""

    def __init__(self) -> None:
        self._wanted = {point.target.partition(":")[0] for point in POINTS.values()} - {"sql"} | {"sqlite3"}

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self._wanted:
            return None
        self._wanted.remove(fullname)
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module) -> None:
            execute(module)
            (trace_sql if module.__name__ == "sqlite3" else wrap_all)(module)

        spec.loader.exec_module = exec_module
        return spec


if _ARMED:
    sys.meta_path.insert(0, _Finder())
