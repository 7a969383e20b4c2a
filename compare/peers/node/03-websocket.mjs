// Lesson 3, WebSocket, on Node.js with ws. It follows the README of ws: "Client
// authentication", "Server broadcast", "How to detect and close broken connections?".

import { createServer } from "node:http";
import WebSocket, { WebSocketServer } from "ws";
import { apply, isForeign, latest, MAX_BYTES, parse, refusal } from "../counter.mjs";

const server = createServer((request, response) => response.writeHead(404).end());
const wss = new WebSocketServer({ noServer: true, maxPayload: MAX_BYTES });

// A text frame from the client: applies the command in it, and tells all clients.
function command(ws, data, isBinary) {
  if (isBinary) return ws.close(1003);
  try {
    if (!apply(parse(data.toString()))) return;
  } catch (error) {
    return ws.send(JSON.stringify(refusal(error)));
  }
  wss.clients.forEach((client) => {
    if (client.readyState === WebSocket.OPEN) client.send(latest.text);
  });
}

// GET /ws: the newest snapshot at once, then one text frame after each change.
wss.on("connection", (ws) => {
  ws.isAlive = true;
  ws.on("error", console.error);
  ws.on("pong", () => (ws.isAlive = true));
  ws.on("message", (data, isBinary) => command(ws, data, isBinary));
  ws.send(latest.text);
});

setInterval(() => {
  wss.clients.forEach((ws) => {
    if (!ws.isAlive) return ws.terminate();
    ws.isAlive = false;
    ws.ping();
  });
}, 15_000);

server.on("upgrade", (request, socket, head) => {
  const { headers, url } = request;
  socket.on("error", console.error);
  const foreign = isForeign(headers.origin, headers.host);
  if (foreign || url !== "/ws") {
    socket.write(`HTTP/1.1 ${foreign ? "403 Forbidden" : "404 Not Found"}\r\n\r\n`);
    socket.destroy();
    return;
  }
  socket.removeListener("error", console.error);
  wss.handleUpgrade(request, socket, head, (ws) => wss.emit("connection", ws, request));
});
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
