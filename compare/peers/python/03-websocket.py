"""Lesson 3, WebSocket, in Python with websockets. It follows websockets' documentation:
"Quick examples" (Manage application state) and "Server (asyncio)", and uvloop's."""

import json
import os
from http import HTTPStatus

from websockets.asyncio.server import broadcast, serve

import counter

try:
    from uvloop import run
except ImportError:  # it does not exist for Windows
    from asyncio import run

CLIENTS = set()


def snapshot():
    return json.dumps(counter.latest, separators=(",", ":"))


async def updates(websocket):
    """GET /ws: the newest snapshot at once, then one text frame after each change."""
    try:
        CLIENTS.add(websocket)
        await websocket.send(snapshot())
        async for message in websocket:
            await command(websocket, message)
    finally:
        CLIENTS.remove(websocket)


async def command(websocket, message):
    """A frame from the client: applies the command in it, and tells all clients."""
    if isinstance(message, bytes):
        return await websocket.close(1003)
    try:
        if counter.apply(counter.parse(message)):
            broadcast(CLIENTS, snapshot())
    except (ValueError, RecursionError) as error:
        await websocket.send(json.dumps(counter.refusal(error)))


def guard(connection, request):
    origin, host = request.headers.get("Origin"), request.headers.get("Host")
    if counter.is_foreign(origin, host):
        return connection.respond(HTTPStatus.FORBIDDEN, "")
    if request.path != "/ws":
        return connection.respond(HTTPStatus.NOT_FOUND, "")


async def main():
    where = "127.0.0.1", int(os.environ.get("PORT", 0))
    options = {"max_size": counter.MAX_BYTES, "ping_interval": 15}
    async with serve(updates, *where, process_request=guard, **options) as server:
        _, port = server.sockets[0].getsockname()
        print(f"listening on http://127.0.0.1:{port}", flush=True)
        await server.serve_forever()


run(main())
