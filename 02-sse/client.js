// Lesson 2, Server-Sent Events: the server keeps one answer open and adds to it.

import { backoff, commands, heard, show, status, watch, wire } from "/page.js";

let events;

function updates() {
  events = new EventSource("/events");
  events.onopen = () => status("live");
  events.onmessage = ({ data, lastEventId }) => {
    heard();
    wire("down", `id: ${lastEventId}\ndata: ${data}`);
    show(JSON.parse(data));
  };
  events.addEventListener("heartbeat", () => {
    heard();
    wire("down", "event: heartbeat");
  });
  events.onerror = () => {
    status("lost");
    // The browser reconnects by itself. It gives up for ever after an answer that is no
    // event stream, such as one 503, or an error that it holds to be hopeless.
    if (events.readyState === EventSource.CLOSED) lost();
  };
  heard();
}

function lost() {
  events.close();
  status("lost");
  setTimeout(updates, backoff());
}

async function command(command) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify(command);
  wire("up", `POST /counter\nContent-Type: application/json\n${body}`);
  const signal = AbortSignal.timeout(5000);
  const response = await fetch("/counter", { method: "POST", headers, body, signal });
  const text = await response.text();
  wire("down", `${response.status} ${response.statusText}\n${text}`.trim());
  if (!text) throw new Error(`HTTP ${response.status}`);
  return JSON.parse(text);
}

commands(command);
watch(lost);
updates();
