// Lesson 1, AJAX polling: the page asks once a second; an unchanged counter answers 304.

import { backoff, commands, show, status, visible, watch, wire } from "/page.js";

const INTERVAL = 1000; // ms between an answer and the next question
let etag = "";
let turn = Promise.resolve();

async function updates() {
  await visible();
  let pause = INTERVAL;
  try {
    const response = await request("GET", etag ? { "If-None-Match": etag } : {});
    etag = response.headers.get("ETag");
    status("live");
  } catch {
    lost();
    pause = backoff();
  }
  setTimeout(updates, pause);
}

function lost() {
  status("lost");
}

async function command(command) {
  const headers = { "Content-Type": "application/json" };
  await request("POST", headers, JSON.stringify(command));
}

// One request at a time: an old answer cannot overtake a newer one.
function request(method, headers, body) {
  turn = turn.catch(() => {}).then(async () => {
    const head = Object.entries(headers).map((header) => header.join(": "));
    wire("up", [`${method} /counter`, ...head, body].join("\n").trim());
    const signal = AbortSignal.timeout(5000);
    const response = await fetch("/counter", { method, headers, body, signal });
    const text = await response.text();
    wire("down", `${response.status} ${response.statusText}\n${text}`.trim());
    if (text) show(JSON.parse(text));
    else if (response.status !== 304) throw new Error(`HTTP ${response.status}`);
    return response;
  });
  return turn;
}

commands(command);
watch(lost);
updates();
