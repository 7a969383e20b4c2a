// Lesson 3, WebSocket, on Node.js with ws. It follows the README of ws: "Client
// authentication", "Server broadcast", "How to detect and close broken connections?".

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { apply, isForeign, latest, MAX_BYTES, parse, refusal } from "../counter.mjs";
import { pageOf } from "./page.mjs";
import { serve } from "./serve.mjs";

const page = pageOf("03-websocket");
const wss = new WebSocketServer({
  noServer: true,
  maxPayload: MAX_BYTES,
  closeTimeout: 1000, // ms; by default a client may take 30 s to answer a close frame
});
const broadcast = (text) => wss.clients.forEach((ws) => ws.send(text));

// GET /ws: the newest snapshot at once, then one text frame after each change.
function updates(ws) {
  ws.isAlive = true;
  ws.on("error", console.error);
  ws.on("pong", () => {
    ws.isAlive = true;
    ws.send(latest.text); // no page sees pings; this shows it that the server lives
  });
  ws.on("message", (data, isBinary) => command(ws, data, isBinary));
  ws.send(latest.text);
}

// A text frame from the client: applies the command in it, and tells all clients.
function command(ws, data, isBinary) {
  if (isBinary) return ws.close(1003);
  try {
    if (apply(parse(data.toString()))) broadcast(latest.text);
  } catch (error) {
    ws.send(JSON.stringify(refusal(error)));
  }
}

function heartbeat(ws) {
  if (!ws.isAlive) return ws.terminate();
  ws.isAlive = false;
  ws.ping();
}

const server = createServer(page);
server.on("upgrade", (request, socket, head) => {
  const { headers, url } = request;
  const foreign = isForeign(headers.origin, headers.host);
  if (foreign || url !== "/ws") {
    socket.on("error", console.error);
    socket.write(`HTTP/1.1 ${foreign ? "403 Forbidden" : "404 Not Found"}\r\n\r\n`);
    return socket.destroy();
  }
  wss.handleUpgrade(request, socket, head, updates);
});
setInterval(() => wss.clients.forEach(heartbeat), 15_000).unref();
serve(server, () => wss.clients.forEach((ws) => ws.close(1001)));
