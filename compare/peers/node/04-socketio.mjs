// Lesson 4, Socket.IO, on Node.js. It follows Socket.IO's documentation: "Server
// Initialization", "Server options", "Handling CORS", "Emitting events".

import { createServer } from "node:http";
import { Server } from "socket.io";
import { apply, check, isForeign, latest, MAX_BYTES, refusal } from "../counter.mjs";

const foreign = ({ headers }) => isForeign(headers.origin, headers.host);

const server = createServer((request, response) => response.writeHead(404).end());
// Socket.IO answers 400 to a WebSocket handshake it refuses; the contract has 403.
server.on("upgrade", (request, socket) => {
  if (foreign(request)) socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
});
const io = new Server(server, {
  pingInterval: 15_000,
  maxHttpBufferSize: MAX_BYTES,
  allowRequest: (request, callback) => callback(null, !foreign(request)),
});

// Event `command`: applies it, tells all clients, and acknowledges with the snapshot.
function command(args) {
  try {
    if (args.length !== 1) throw new Error(`${args.length} arguments`);
    if (apply(check(args[0]))) io.emit("counter", latest.snapshot);
    return latest.snapshot;
  } catch (error) {
    return refusal(error);
  }
}

// Event `counter`: the newest snapshot at once, then one after each change.
io.on("connection", (socket) => {
  socket.emit("counter", latest.snapshot);
  socket.on("command", (...args) => {
    // The client may have asked for no acknowledgement.
    const acknowledge = typeof args.at(-1) === "function" ? args.pop() : () => {};
    acknowledge(command(args));
  });
});

server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
