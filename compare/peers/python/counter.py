"""The counter that the Python peers serve, as compare's contract has it: what model.rs,
counter.rs and guard.rs in shared/src are for the lessons."""

import json

MAX_BYTES = 4096
REMEMBERED_IDS = 10_000
ACTIONS = {
    "increment": lambda value: min(value + 1, 2**31 - 1),
    "decrement": lambda value: max(value - 1, -(2**31)),
    "reset": lambda value: 0,
}
_applied = {}  # keeps the order of insertion: the oldest id comes first
latest = {"value": 0, "version": 0}


def apply(command):
    """Applies a command. Returns whether the counter changed: not for a repeated id."""
    global latest
    if "id" in command:
        if command["id"] in _applied:
            return False
        _applied[command["id"]] = True
        if len(_applied) > REMEMBERED_IDS:
            del _applied[next(iter(_applied))]
    value = ACTIONS[command["type"]](latest["value"])
    latest = {"value": value, "version": latest["version"] + 1}
    return True


def parse(text):
    """Reads a command from JSON text. Raises ValueError, or RecursionError."""
    return check(json.loads(text, object_pairs_hook=_each_once))


def _each_once(pairs):
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a field twice")
    return dict(pairs)


def check(command):
    """Returns what is already parsed, if it is a command. Raises ValueError."""
    if not isinstance(command, dict) or str(command.get("type")) not in ACTIONS:
        raise ValueError("no known type")
    id = command.get("id", "left out")
    if not isinstance(id, str) or not 1 <= len(id.encode()) <= 64:
        raise ValueError("an id that is not text of 1 to 64 bytes")
    if not command.keys() <= {"type", "id"}:
        raise ValueError("a field that is not known")
    return command


def refusal(error):
    return {"error": f"this is no command: {error}"}


def is_foreign(origin, host):
    """Whether another site's page sent this. A native client sends no Origin."""
    return origin is not None and not origin.endswith(f"://{host}")
