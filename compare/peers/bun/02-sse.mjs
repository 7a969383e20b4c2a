// Lesson 2, Server-Sent Events, on Bun. It follows Bun's guide "Server-Sent Events
// (SSE) with Bun": a ReadableStream, as the events come from elsewhere.

import { isForeign, MAX_BYTES } from "../counter.mjs";
import { event, FOREIGN, HEARTBEAT, post, retry, STREAM } from "../http.mjs";

const streams = new Set();

function broadcast(text) {
  for (const stream of streams) stream.enqueue(text);
}

// GET /events: the newest snapshot at once, then one event after each change.
function updates(request, server) {
  server.timeout(request, 0); // a quiet stream is not an idle one
  let stream;
  const events = new ReadableStream({
    start(controller) {
      stream = controller;
      stream.enqueue(retry() + event());
      streams.add(stream);
    },
    cancel() {
      streams.delete(stream);
    },
  });
  return new Response(events, { headers: STREAM });
}

// POST /counter: applies a command and answers with the snapshot it made.
async function command(request) {
  const { status, text, changed } = post(await request.bytes());
  if (changed) broadcast(event());
  return answer(status, text);
}

function answer(status, text) {
  const headers = { "Content-Type": "application/json" };
  return new Response(text, { status, headers });
}

const guarded = (handler) => (request, server) => {
  const { headers } = request;
  const foreign = isForeign(headers.get("origin"), headers.get("host"));
  return foreign ? answer(403, FOREIGN) : handler(request, server);
};

setInterval(broadcast, 15_000, HEARTBEAT);
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  // Beyond this Bun itself says 413, without a sentence.
  maxRequestBodySize: 16 * MAX_BYTES,
  routes: {
    "/events": { GET: guarded(updates) },
    "/counter": { POST: guarded(command) },
  },
});
console.log(`listening on ${server.url.origin}`);
