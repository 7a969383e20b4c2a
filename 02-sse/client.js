// Lesson 2, Server-Sent Events: the server keeps one answer open and adds to it.

import { backoff, commands, show, status, wire } from "/page.js";

let failures = 0;

function updates() {
  const events = new EventSource("/events");
  events.onopen = () => {
    failures = 0;
    status("live");
  };
  events.onmessage = ({ data, lastEventId }) => {
    wire("down", `id: ${lastEventId}\ndata: ${data}`);
    show(JSON.parse(data));
  };
  events.onerror = () => {
    status("lost");
    // The browser reconnects by itself, unless the server answered with anything but an
    // event stream, such as one 503: then it gives up for ever.
    if (events.readyState === EventSource.CLOSED) setTimeout(updates, backoff(++failures));
  };
}

async function command(command) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify(command);
  wire("up", `POST /counter\n${body}`);
  const signal = AbortSignal.timeout(5000);
  const response = await fetch("/counter", { method: "POST", headers, body, signal });
  const text = await response.text();
  wire("down", `${response.status} ${response.statusText}\n${text}`);
  return JSON.parse(text);
}

commands(command);
updates();
