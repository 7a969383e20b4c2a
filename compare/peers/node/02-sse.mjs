// Lesson 2, Server-Sent Events, on Node.js. It follows Node.js's guide "Anatomy of an
// HTTP Transaction", and MDN's page "Using server-sent events".

import { createServer } from "node:http";
import { isForeign } from "../counter.mjs";
import { event, FOREIGN, HEARTBEAT, post, retry, STREAM } from "../http.mjs";
import { answer, body } from "./http.mjs";
import { pageOf } from "./page.mjs";
import { serve } from "./serve.mjs";

const page = pageOf("02-sse");
const streams = new Set();

function broadcast(text) {
  for (const stream of streams) stream.write(text);
}

// GET /events: the newest snapshot at once, then one event after each change.
function updates(request, response) {
  // At the stop the connection ends with the answer, and is not kept for another.
  response.writeHead(200, { ...STREAM, Connection: "close" }).write(retry() + event());
  streams.add(response);
  response.on("close", () => streams.delete(response));
}

// POST /counter: applies a command and answers with the snapshot it made.
async function command(request, response) {
  const { status, text, changed } = post(await body(request));
  if (changed) broadcast(event());
  answer(response, status, text);
}

const server = createServer((request, response) => {
  const { headers, method, url } = request;
  if (isForeign(headers.origin, headers.host)) {
    answer(response, 403, FOREIGN);
  } else if (url === "/events" && method === "GET") {
    updates(request, response);
  } else if (url === "/counter" && method === "POST") {
    // A client that leaves in the middle of its command gets no answer.
    command(request, response).catch(() => response.destroy());
  } else {
    page(request, response);
  }
});
setInterval(broadcast, 15_000, HEARTBEAT).unref();
serve(server, () => streams.forEach((stream) => stream.end()));
