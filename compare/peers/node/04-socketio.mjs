// Lesson 4, Socket.IO, on Node.js. It follows Socket.IO's documentation: "Server
// Initialization", "Server options", "Handling CORS", "Emitting events".

import { createServer } from "node:http";
import { Server } from "socket.io";
import { isForeign, MAX_BYTES } from "../counter.mjs";
import { serve } from "../socketio.mjs";

const foreign = ({ headers }) => isForeign(headers.origin, headers.host);

const server = createServer((request, response) => response.writeHead(404).end());
// Socket.IO answers 400 to a WebSocket handshake it refuses; the contract has 403.
server.on("upgrade", (request, socket) => {
  if (foreign(request)) socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
});
const io = new Server(server, {
  pingInterval: 15_000,
  maxHttpBufferSize: MAX_BYTES,
  allowRequest: (request, callback) => callback(null, !foreign(request)),
});

serve(io);
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
