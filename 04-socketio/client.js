// Lesson 4, Socket.IO: events both ways, acknowledged, over whatever transport works.

import { io } from "/socket.io.js";
import { commands, show, status, wire } from "/page.js";

const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
// Each click is sent again until it is acknowledged, and counted once: by its id.
const socket = io({
  ackTimeout: 3000,
  retries: Infinity,
  reconnectionDelay: 500,
  reconnectionDelayMax: 10_000,
});
const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
let clicks = 0;

function updates() {
  socket.on("connect", () => status("live"));
  socket.on("counter", show);
  socket.on("disconnect", () => status("lost"));
  // Engine.IO packets are what travels: a digit for the type, then the data.
  socket.io.on("open", () => {
    const raw = ({ type, data = "" }) => `${TYPES.indexOf(type)}${data}`;
    socket.io.engine.on("packet", (packet) => wire("down", raw(packet)));
    socket.io.engine.on("packetCreate", (packet) => wire("up", raw(packet)));
  });
}

function command(command) {
  clicks += 1;
  return socket.emitWithAck("command", { ...command, id: `${page}-${clicks}` });
}

commands(command);
updates();
