// What lesson 4 does with its events on Bun. It follows Socket.IO's documentation,
// "Emitting events".

import { apply, check, latest, refusal } from "../counter.mjs";

// Event `command`: applies it, tells all clients, and acknowledges with the snapshot.
function command(io, args) {
  try {
    if (args.length !== 1) throw new Error(`${args.length} arguments`);
    if (apply(check(args[0]))) io.emit("counter", latest.snapshot);
    return latest.snapshot;
  } catch (error) {
    return refusal(error);
  }
}

// Event `counter`: the newest snapshot at once, then one after each change.
export function serve(io) {
  io.on("connection", (socket) => {
    socket.emit("counter", latest.snapshot);
    socket.on("command", (...args) => {
      // The client may have asked for no acknowledgement.
      const acknowledge = typeof args.at(-1) === "function" ? args.pop() : () => {};
      acknowledge(command(io, args));
    });
  });
}
