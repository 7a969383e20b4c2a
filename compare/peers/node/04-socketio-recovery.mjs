// The counter with Socket.IO's "connection state recovery": the server keeps the events of
// two minutes for a client that comes back. `just compare --gaps --peers` measures it; lesson
// 4's twin, which the contract judges, is 04-socketio.mjs.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { apply, latest } from "../counter.mjs";
import { serve } from "./serve.mjs";

const server = createServer();
const io = new Server(server, { connectionStateRecovery: {} });
io.on("connection", (socket) => {
  // Who is recovered gets each event that it has missed.
  if (!socket.recovered) socket.emit("counter", latest.snapshot);
  socket.on("command", (command, acknowledge) => {
    if (apply(command)) io.emit("counter", latest.snapshot);
    acknowledge(latest.snapshot);
  });
});
serve(server, () => io.close());
