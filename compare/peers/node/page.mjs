// The page of a lesson, and the files it is made of: what page.rs in shared/src is for
// the lessons. Of askama, whose templates they are, this knows as much as they use.

import { readFileSync } from "node:fs";
import { isForeign } from "../counter.mjs";
import { FOREIGN } from "../http.mjs";
import { answer } from "./http.mjs";

const ROOT = new URL("../../../", import.meta.url);
const CLIENT = "04-socketio/node_modules/socket.io-client/dist/socket.io.esm.min.js";
const TYPES = { css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
const SAFE = { "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff" };
const PAGE = {
  ...SAFE,
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  Vary: "Accept-Language",
};

const escape = (text) => text.replace(/[&<>"']/g, (it) => `&#${it.charCodeAt(0)};`);
const read = (path) => readFileSync(new URL(path, ROOT), "utf8");

// The page in one language; only the host is left to put in.
function render(lesson, lang) {
  const page = read(`${lesson}/templates/page.html`);
  const blocks = page.matchAll(/{% block (\w+) %}(.*?){% endblock %}/gs);
  const words = new Map(Array.from(blocks, ([, name, text]) => [name, text]));
  const only = (_, its, text) => (its === lang ? text : "");
  const say = (_, fr, en) => escape(lang === "fr" ? fr : en);
  return read("shared/templates/layout.html")
    .replace(/{% block (\w+) %}{% endblock %}/g, (_, name) => words.get(name) ?? "")
    .replace(/{% if visit.lang == "(\w+)" %}(.*?){% endif %}/g, only)
    .replace(/{{ visit.say\(\s*"(.*?)",\s*"(.*?)"\s*\) }}/g, say)
    .replaceAll("{{ visit.lang }}", lang);
}

// Returns what answers requests: with the lesson's page, its files, or else with 404.
export function pageOf(lesson) {
  const pages = { fr: render(lesson, "fr"), en: render(lesson, "en") };
  const files = new Map([["/client.js", read(`${lesson}/client.js`)]]);
  for (const name of ["page.js", "style.css", "icon.svg"]) {
    files.set(`/${name}`, read(`shared/assets/${name}`));
  }
  try {
    if (lesson === "04-socketio") files.set("/socket.io.js", read(CLIENT));
  } catch ({ message }) {
    console.error(`${message}: for the page, run \`npm ci\` once in ${lesson}`);
  }
  return ({ headers, method, url }, response) => {
    const [path, query] = url.split("?");
    const isRead = method === "GET" || method === "HEAD";
    if (isForeign(headers.origin, headers.host)) {
      answer(response, 403, FOREIGN, SAFE);
    } else if (isRead && path === "/") {
      const { host = "localhost", "accept-language": accepted } = headers;
      const asked = new URLSearchParams(query).get("lang");
      // A browser names first what it prefers.
      const [, lang = "en"] = /(?:^|,) *(fr|en)\b/.exec(`${asked},${accepted}`) ?? [];
      const html = pages[lang].replaceAll("{{ visit.host }}", () => escape(host));
      answer(response, 200, html, PAGE);
    } else if (isRead && files.has(path)) {
      const type = `${TYPES[path.split(".").at(-1)]}; charset=utf-8`;
      answer(response, 200, files.get(path), { ...SAFE, "Content-Type": type });
    } else {
      response.writeHead(404, SAFE).end();
    }
  };
}
