// Lesson 4, Socket.IO, on Bun. It follows the README of @socket.io/bun-engine, and
// Socket.IO's documentation: "Emitting events".

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { apply, check, isForeign, latest, MAX_BYTES, refusal } from "../counter.mjs";

const io = new Server();
const engine = new Engine({
  path: "/socket.io/",
  pingInterval: 15_000,
  maxHttpBufferSize: MAX_BYTES,
  allowRequest: async ({ headers }) => {
    const foreign = isForeign(headers.get("origin"), headers.get("host"));
    if (foreign) throw "pages of another site may not use this server";
  },
});
io.bind(engine);

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

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  ...engine.handler(),
});
console.log(`listening on ${server.url.origin}`);
