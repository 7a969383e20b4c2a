// Lesson 4, Socket.IO, on Bun. It follows the README of @socket.io/bun-engine, and
// Socket.IO's documentation: "Emitting events".

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { isForeign, MAX_BYTES } from "../counter.mjs";
import { serve } from "./socketio.mjs";

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

serve(io);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  ...engine.handler(),
});
console.log(`listening on ${server.url.origin}`);
