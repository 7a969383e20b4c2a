// Lesson 3, WebSocket, on Bun. It follows the page "WebSockets" of Bun's documentation:
// "Pub/Sub", "Timeouts and limits".

import { apply, isForeign, latest, MAX_BYTES, parse, refusal } from "../counter.mjs";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  routes: {
    "/ws": (request, server) => {
      const { headers } = request;
      if (isForeign(headers.get("origin"), headers.get("host"))) {
        return new Response(null, { status: 403 });
      }
      if (!server.upgrade(request)) return new Response(null, { status: 400 });
    },
  },
  websocket: {
    idleTimeout: 24, // s; Bun pings a silent client 8 s before
    maxPayloadLength: MAX_BYTES,
    // The newest snapshot at once, then one text frame after each change.
    open(ws) {
      ws.subscribe("counter");
      ws.send(latest.text);
    },
    // A text frame from the client: applies the command in it, and tells all clients.
    message(ws, message) {
      if (typeof message !== "string") return ws.close(1003);
      try {
        if (apply(parse(message))) server.publish("counter", latest.text);
      } catch (error) {
        ws.send(JSON.stringify(refusal(error)));
      }
    },
  },
});
console.log(`listening on ${server.url.origin}`);
