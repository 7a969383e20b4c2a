// Lesson 1, polling, on Node.js. It follows Node.js's guide "Anatomy of an HTTP
// Transaction".

import { createServer } from "node:http";
import { isForeign, latest } from "../counter.mjs";
import { FOREIGN, isKnown, post } from "../http.mjs";
import { answer, body } from "./http.mjs";
import { pageOf } from "./page.mjs";
import { serve } from "./serve.mjs";

const page = pageOf("01-polling");

// GET /counter: the newest snapshot, or 304 when the client has it already.
function updates(request, response) {
  const etag = `"${latest.id}"`;
  const headers = { ETag: etag, "Cache-Control": "no-cache" };
  if (isKnown(etag, request.headers["if-none-match"])) {
    response.writeHead(304, headers).end();
  } else {
    answer(response, 200, latest.text, headers);
  }
}

// POST /counter: applies a command and answers with the snapshot it made.
async function command(request, response) {
  const { status, text } = post(await body(request));
  answer(response, status, text);
}

const server = createServer((request, response) => {
  const { headers, method, url } = request;
  if (isForeign(headers.origin, headers.host)) {
    answer(response, 403, FOREIGN);
  } else if (url === "/counter" && method === "GET") {
    updates(request, response);
  } else if (url === "/counter" && method === "POST") {
    // A client that leaves in the middle of its command gets no answer.
    command(request, response).catch(() => response.destroy());
  } else {
    page(request, response);
  }
});
serve(server);
