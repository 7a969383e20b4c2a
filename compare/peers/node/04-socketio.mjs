// Lesson 4, Socket.IO, on Node.js. It follows Socket.IO's documentation: "Server
// Initialization", "Server options", "Handling CORS", "Emitting events".

import { createServer } from "node:http";
import { Server } from "socket.io";
import { apply, check, isForeign, latest, MAX_BYTES, refusal } from "../counter.mjs";
import { pageOf } from "./page.mjs";
import { serve } from "./serve.mjs";

const HEARTBEAT = 15_000; // ms between two pings, and for a client to answer or to join
const page = pageOf("04-socketio");
const foreign = ({ headers }) => isForeign(headers.origin, headers.host);

// Event `counter`: the newest snapshot at once, then one after each change.
function updates(socket) {
  socket.emit("counter", latest.snapshot);
  socket.on("command", command);
}

// Event `command`: applies it, tells all clients, and acknowledges with the snapshot.
function command(...args) {
  // The client may have asked for no acknowledgement.
  const acknowledge = typeof args.at(-1) === "function" ? args.pop() : () => {};
  try {
    if (args.length !== 1) throw new Error(`${args.length} arguments`);
    if (apply(check(args[0]))) io.emit("counter", latest.snapshot);
    acknowledge(latest.snapshot);
  } catch (error) {
    acknowledge(refusal(error));
  }
}

const server = createServer(page);
// Socket.IO answers 400 to a WebSocket handshake it refuses; the contract has 403.
server.on("upgrade", (request, socket) => {
  if (foreign(request)) socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
});
const io = new Server(server, {
  connectTimeout: HEARTBEAT,
  pingInterval: HEARTBEAT,
  pingTimeout: HEARTBEAT,
  maxHttpBufferSize: MAX_BYTES,
  allowRequest: (request, callback) => callback(null, !foreign(request)),
});
io.on("connection", updates);
serve(server, () => io.close());
