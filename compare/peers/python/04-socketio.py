"""Lesson 4, Socket.IO, in Python with python-socketio on uvicorn, which takes uvloop where
it finds it. It follows python-socketio's documentation, "The Socket.IO Server", and
uvicorn's, "Settings"."""

import os

import socketio
import uvicorn

import counter

# With always_connect, what `connect` emits does not come before the acceptance.
options = {"ping_interval": 15, "max_http_buffer_size": counter.MAX_BYTES}
sio = socketio.AsyncServer(async_mode="asgi", always_connect=True, **options)
socketio_app = socketio.ASGIApp(sio)


@sio.event
async def connect(sid, environ):
    """Event `counter`: the newest snapshot at once, then one after each change."""
    await sio.emit("counter", counter.latest, to=sid)


@sio.event
async def command(sid, *arguments):
    """Event `command`: applies it, tells all clients, answers with the snapshot."""
    try:
        if len(arguments) != 1:
            raise ValueError(f"{len(arguments)} arguments")
        changed = counter.apply(counter.check(arguments[0]))
    except ValueError as error:
        return counter.refusal(error)
    snapshot = counter.latest
    if changed:
        await sio.emit("counter", snapshot)
    return snapshot


async def app(scope, receive, send):
    """Refuses other sites' pages with 403, where python-socketio would say 400."""
    headers = {name: text.decode("latin-1") for name, text in scope.get("headers", [])}
    if not counter.is_foreign(headers.get(b"origin"), headers.get(b"host")):
        await socketio_app(scope, receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close"})  # before any acceptance: 403 as well
    else:
        await send({"type": "http.response.start", "status": 403})
        await send({"type": "http.response.body"})


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        _, port = self.servers[0].sockets[0].getsockname()
        print(f"listening on http://127.0.0.1:{port}", flush=True)


# A line of log for each request is for standard output, which nobody may be reading.
options = {"port": int(os.environ.get("PORT", 0)), "log_level": "warning"}
Server(uvicorn.Config(app, ws_max_size=counter.MAX_BYTES, **options)).run()
