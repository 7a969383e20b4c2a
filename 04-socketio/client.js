// Lesson 4, Socket.IO: events both ways, acknowledged, over whatever transport works.

import { io } from "/socket.io.js";
import { commands, show, status, watch, wire } from "/page.js";

const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
// Each click is sent again until it is acknowledged, and counted once: by its id.
const socket = io({
  ackTimeout: 3000,
  retries: Infinity,
  reconnectionDelay: 500,
  // Each page has its own longest delay: the client adds no chance to that one.
  reconnectionDelayMax: 5000 + 5000 * Math.random(),
});
// Not crypto.randomUUID(), which is missing on a page served over plain HTTP to a phone.
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
    // Where WebSocket broke once, long polling is enough: no second attempt.
    socket.io.engine.on("upgradeError", () => (socket.io.opts.upgrade = false));
  });
}

function lost() {
  socket.disconnect().connect();
}

async function command(command) {
  clicks += 1;
  return socket.emitWithAck("command", { ...command, id: `${page}-${clicks}` });
}

commands(command);
watch(lost);
updates();
