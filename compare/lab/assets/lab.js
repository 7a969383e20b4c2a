// The lab's page: one event stream carries all lanes; what is asked for goes by POST.

import { backoff, heard, watch } from "/page.js";

const ROWS = 60; // kept and drawn in each lane
const ROW = 36; // px, as in lab.css
const GAP = 22; // px, as in lab.css
const TIP = 25; // px from the top of a row to its arrow's tip
const SLOPE = 7; // px, at least, so that an arrow looks like one
const SILENCE = 1500; // ms without a message that are worth a mark
const ANNOUNCE = 2000; // ms between two announcements to screen readers

const element = (id) => document.getElementById(id);
const words = element("words").dataset;
const { lang } = document.documentElement;
const number = new Intl.NumberFormat(lang);
const short = new Intl.NumberFormat(lang, { maximumSignificantDigits: 3 });
const seconds = (ms) => `${short.format(ms / 1000)} s`;
const compact = new Intl.NumberFormat(lang, { notation: "compact", maximumSignificantDigits: 3 });
const amount = (of) => (of < 10_000 ? number : compact).format(of);
const delay = (ms) => (ms === null ? "–" : ms < 1000 ? `${short.format(ms)} ms` : seconds(ms));
const nameOf = (network) =>
  typeof network === "string" ? network : Object.keys(network ?? {})[0];
const word = (name) => words[name.replace(/-./g, ([, letter]) => letter.toUpperCase())];

class Lane {
  constructor(article) {
    this.name = article.dataset.lane;
    this.title = article.querySelector("h2").textContent;
    this.article = article;
    this.list = article.querySelector(".diagram");
    this.fields = Object.fromEntries(
      ["link", "network", "process", "value", "messages", "bytes", "connections", "delay", "made", "fate", "counted"]
        .map((name) => [name, article.querySelector(`.${name}`)]),
    );
    this.forget();
  }

  /** As if nothing had been told. */
  forget() {
    this.rows = []; // the newest last
    this.drawn = []; // of those on the page: when, and how high
    this.waiting = []; // to be drawn
    this.stale = true;
  }

  /** Takes what is new. */
  take({ status, rows = [] }) {
    if (status) {
      changes(this, this.status, status);
      this.status = status;
      this.stale = true;
    }
    this.rows = [...this.rows, ...rows].slice(-ROWS);
    this.waiting = [...this.waiting, ...rows].slice(-ROWS);
  }

  get isDue() {
    return this.status && (this.stale || (!held && this.waiting.length > 0));
  }

  draw() {
    if (this.stale) this.drawStatus();
    if (!held && this.waiting.length) this.drawRows();
  }

  drawStatus() {
    this.stale = false;
    const { status } = this;
    const set = (name, text) => {
      if (this.fields[name].textContent !== text) this.fields[name].textContent = text;
    };
    this.article.dataset.link = status.link;
    set("link", words[status.link]);
    const network = nameOf(status.network);
    set("network", word(network));
    set("process", words[status.process]);
    set("value", status.value === null ? "–" : `${status.value}`);
    set("messages", `${amount(status.messages_up)} ↑ ${amount(status.messages_down)} ↓`);
    set("bytes", `${amount(status.up)} ↑ ${amount(status.down)} ↓`);
    set("connections", number.format(status.connections));
    set("delay", delay(status.delay));
    const open = [
      status.waiting ? `${status.waiting} ${words.waiting}` : "",
      status.given_up ? `${status.given_up} ${words.givenUp}` : "",
    ].filter(Boolean).join(", ");
    set("made", number.format(status.clicks));
    set("fate", open);
    set("counted", number.format(status.counted));
    const pressed = `${network} ${status.every}`;
    if (pressed === this.pressed) return;
    this.pressed = pressed;
    press(this.article, [this]);
    press(document.querySelector(".all"), lanes);
  }

  drawRows() {
    // After a pause the rows between are gone, and so is the scale.
    if (this.waiting.length === ROWS) {
      this.list.replaceChildren();
      this.drawn = [];
    }
    const fresh = document.createDocumentFragment();
    for (const row of this.waiting) {
      const last = this.drawn.at(-1);
      let height = last ? last.height + ROW : 0;
      const silence = last ? row.at - last.at : 0;
      if (silence > SILENCE) {
        height += GAP;
        const gap = document.createElement("li");
        gap.className = "gap";
        gap.textContent = seconds(silence);
        fresh.prepend(gap);
      }
      this.drawn.push({ at: row.at, height });
      fresh.prepend(this.line(row, height));
    }
    this.waiting = [];
    this.drawn = this.drawn.slice(-ROWS);
    this.list.prepend(fresh);
    while (this.list.children.length > ROWS) this.list.lastChild.remove();
  }

  /** How high on the drawing that moment is, among what has arrived. */
  height(at) {
    const after = this.drawn.findIndex((row) => row.at > at);
    if (after < 0) return this.drawn.at(-1).height;
    if (after === 0) return this.drawn[0].height;
    const [a, b] = [this.drawn[after - 1], this.drawn[after]];
    return a.height + ((b.height - a.height) * (at - a.at)) / (b.at - a.at);
  }

  /** A row. Its arrow is drawn once: what is older does not move relative to it. */
  line(row, height) {
    const item = element("row").content.firstElementChild.cloneNode(true);
    const [count, button, drawing] = item.children;
    item.dataset.what = row.what;
    count.textContent = `#${row.connection}`;
    const [label, size] = button.children;
    label.textContent = row.label ?? words[row.what];
    if (row.size !== undefined) size.textContent = `${number.format(row.size)} ${words.byte}`;
    if (row.label === "") label.textContent = "…";
    if (row.what === "message") button.addEventListener("click", () => open(this, row));
    else button.replaceWith(...button.children);
    const line = drawing.firstElementChild;
    if (row.direction) {
      item.dataset.direction = row.direction;
      const fall = Math.max(SLOPE, height - this.height(row.left));
      const [from, to] = row.direction === "up" ? ["0%", "100%"] : ["100%", "0%"];
      line.setAttribute("x1", from);
      line.setAttribute("y1", TIP + fall);
      line.setAttribute("x2", to);
      line.setAttribute("y2", TIP);
      line.setAttribute("marker-end", `url(#head-${row.direction})`);
    } else line.remove();
    return item;
  }
}

const lanes = [...document.querySelectorAll("[data-lane]")].map((it) => new Lane(it));
const laneOf = (name) => lanes.find((lane) => lane.name === name);

/** Shows which buttons are what is so now, in all of these lanes. */
function press(scope, lanes) {
  for (const button of scope.querySelectorAll("[aria-pressed][data-do]")) {
    const { network } = JSON.parse(button.dataset.do);
    const is = ({ status }) =>
      network === undefined ? status?.every !== null : nameOf(status?.network) === nameOf(network);
    const pressed = `${lanes.every((lane) => lane.status && is(lane))}`;
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  }
}

// Only what is new, and one lane per frame, each in its turn: all four at once would take
// longer than a frame.
let frame;
let held = false;
let turn = 0;
function draw() {
  frame ??= requestAnimationFrame(() => {
    frame = undefined;
    const due = lanes.findIndex((_, at) => lanes[(turn + at) % lanes.length].isDue);
    if (due < 0) return;
    turn = (turn + due) % lanes.length;
    lanes[turn].draw();
    turn += 1;
    draw();
  });
}

// Who cannot see the lanes is told what changes in their state, and not what passes.
const told = new Map();
let telling;
function changes(lane, before, now) {
  if (!before) return;
  const what = [
    before.link !== now.link && words[now.link],
    before.process !== now.process && (words[now.process] || words.runs),
    nameOf(before.network) !== nameOf(now.network) && (word(nameOf(now.network)) || words.well),
  ].filter(Boolean);
  if (!what.length) return;
  told.set(lane.title, [...(told.get(lane.title) ?? []), ...what]);
  telling ??= setTimeout(() => {
    telling = undefined;
    element("announcement").textContent = [...told].map(([lane, what]) => `${lane}: ${what.join(", ")}`).join(". ");
    told.clear();
  }, ANNOUNCE);
}

// The raw text of a message.
function open(lane, row) {
  const arrow = row.direction === "up" ? "↑" : "↓";
  element("what").textContent = `${lane.title} · #${row.connection} ${arrow} ${row.size} ${words.byte}`;
  element("when").textContent = `${seconds(row.left)} → ${seconds(row.at)} (${delay(row.at - row.left)})`;
  element("raw").querySelector("code").textContent = row.text;
  element("raw").showModal();
}

// What is told. A stream that the browser opens again says its last id by itself; one that
// the page opens has it in its address.
let last = "";
let events;
function follow() {
  events = new EventSource(last ? `/events?after=${last}` : "/events");
  events.onopen = () => status("live");
  events.addEventListener("state", ({ data, lastEventId }) => {
    last = lastEventId;
    heard();
    for (const lane of lanes) {
      lane.forget();
      lane.list.replaceChildren();
    }
    take(JSON.parse(data));
  });
  events.addEventListener("news", ({ data, lastEventId }) => {
    last = lastEventId;
    heard();
    take(JSON.parse(data));
  });
  events.addEventListener("heartbeat", heard);
  events.onerror = () => {
    status("lost");
    if (events.readyState === EventSource.CLOSED) lost();
  };
  heard();
}

function lost() {
  events.close();
  status("lost");
  setTimeout(follow, backoff());
}

function status(state) {
  element("status").dataset.state = state;
  element("status").textContent = words[state];
}

function take({ lanes: changed = {}, drills, tour }) {
  for (const [name, change] of Object.entries(changed)) laneOf(name)?.take(change);
  if (drills) showDrills(drills);
  if (tour) showTour(tour);
  draw();
}

// What is asked for.
async function order(what, lanes = []) {
  element("notice").textContent = "";
  try {
    const response = await fetch("/do", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ lanes, do: what }),
      signal: AbortSignal.timeout(20_000),
    });
    if (!response.ok) throw new Error((await response.json()).error);
  } catch ({ message }) {
    element("notice").textContent = `${words.failed} ${message}`;
  }
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-do]");
  if (!button) return;
  const what = JSON.parse(button.dataset.do);
  const asked = button.nextElementSibling?.querySelector("input")?.valueAsNumber;
  if (what.every === 0) what.every = asked || 500;
  if (what.network?.slow === 0) what.network.slow = asked || 0;
  const lane = button.closest("[data-lane]")?.dataset.lane;
  order(what, lane ? [lane] : []);
});

element("pause").addEventListener("click", ({ target }) => {
  held = !held;
  target.setAttribute("aria-pressed", `${held}`);
  draw();
});

// The tour.
const steps = [...document.querySelectorAll("[data-step]")];
for (const [at, step] of steps.entries()) {
  const go = (to) => {
    step.hidden = true;
    steps[to].hidden = false;
    steps[to].querySelector(".act").focus();
  };
  step.querySelector(".back").addEventListener("click", () => go(at - 1));
  step.querySelector(".next").addEventListener("click", () => go(at + 1));
}

const FACTS = {
  messages: (it) => `${number.format(it.messages_up)} ↑ ${number.format(it.messages_down)} ↓`,
  delay: (it) => delay(it.delay),
  during: (it) => words[it.during],
  counted: (it) => `${number.format(it.counted)} / ${number.format(it.clicks)}`,
};

function showTour({ step, over, lanes: seen }) {
  const article = steps.find((it) => it.dataset.step === step);
  for (const button of document.querySelectorAll("#tour .act")) {
    button.disabled = !over;
  }
  article.dataset.over = over;
  for (const seen of article.querySelectorAll(".seen")) seen.hidden = !over;
  if (!over) return;
  const rows = article.dataset.facts.split(" ").map((fact) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = document.getElementById("words").getAttribute(`data-fact-${fact}`);
    row.append(head);
    for (const lane of lanes) {
      const cell = document.createElement("td");
      const it = seen[lane.name];
      cell.textContent = FACTS[fact]?.(it) ?? number.format(it[fact]);
      cell.dataset.fact = fact;
      cell.dataset.is = it[fact];
      row.append(cell);
    }
    return row;
  });
  article.querySelector("tbody").replaceChildren(...rows);
}

// The drills.
element("play").addEventListener("click", () => {
  const lesson = element("drilled").value;
  order({ drill: element("drill").value }, lesson ? [lesson] : []);
});

function showDrills(drills) {
  for (const article of document.querySelectorAll("[data-played]")) {
    const drill = drills[article.dataset.played];
    article.hidden = !drill;
    if (!drill) continue;
    const verdict = drill.verdict?.[lang] ?? drill.failed ?? "…";
    article.querySelector("h3").dataset.drill = drill.name;
    article.querySelector(".verdict").textContent = verdict;
    const items = drill.steps.map(([at, step]) => {
      const item = document.createElement("li");
      item.textContent = `${at.toFixed(1)} s  ${step}`;
      item.lang = "en";
      return item;
    });
    article.querySelector("ol").replaceChildren(...items);
  }
}

// What is on the screen, to keep.
function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

element("json").addEventListener("click", () => {
  const kept = lanes.map(({ name, status, rows }) => [name, { status, rows }]);
  save("lab.json", "application/json", JSON.stringify(Object.fromEntries(kept), null, 1));
});

element("svg").addEventListener("click", () => {
  save("lab.svg", "image/svg+xml", drawing());
});

/** All four lanes as one picture, with the colours of the page as it is. */
function drawing() {
  const [width, head, edge] = [330, 60, 40];
  const tall = Math.max(...lanes.map((lane) => lane.list.scrollHeight)) + head + ROW;
  const colour = (of, name) => getComputedStyle(of).getPropertyValue(name);
  const page = getComputedStyle(document.documentElement);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (name, attributes, text = "") => {
    const node = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    svg.append(node);
  };
  svg.setAttribute("xmlns", svg.namespaceURI);
  svg.setAttribute("viewBox", `0 0 ${width * lanes.length} ${tall}`);
  svg.setAttribute("font-family", "system-ui, sans-serif");
  add("rect", { width: "100%", height: "100%", fill: page.backgroundColor });
  for (const [at, lane] of lanes.entries()) {
    const [left, right] = [at * width + edge, (at + 1) * width - edge / 2];
    const ink = page.color;
    const title = getComputedStyle(lane.article.querySelector("h2")).color;
    add("text", { x: left, y: 24, fill: title, "font-size": 17, "font-weight": 700 }, lane.title);
    const { value } = lane.status;
    add("text", { x: right, y: 24, fill: title, "font-size": 17, "text-anchor": "end" }, `${value ?? "–"}`);
    for (const x of [left, right]) {
      add("line", { x1: x, x2: x, y1: 36, y2: tall, stroke: colour(lane.article, "color"), "stroke-width": 1.5 });
    }
    const top = lane.list.getBoundingClientRect().top - lane.list.scrollTop;
    for (const item of lane.list.children) {
      const y = head + item.getBoundingClientRect().top - top;
      const text = item.querySelector(".label")?.textContent ?? item.textContent;
      const size = item.querySelector(".size")?.textContent ?? "";
      const shown = text.length > 34 ? `${text.slice(0, 33)}…` : text;
      const middle = { x: (left + right) / 2, y: y + 15, "text-anchor": "middle", "font-size": 12 };
      add("text", { ...middle, fill: ink }, `${shown} ${size}`.trim());
      const line = item.querySelector("line");
      if (!line) continue;
      const stroke = getComputedStyle(line).stroke;
      const up = item.dataset.direction === "up";
      const [x1, x2] = up ? [left, right] : [right, left];
      const [y1, y2] = ["y1", "y2"].map((name) => y + Number(line.getAttribute(name)));
      add("line", { x1, x2, y1, y2, stroke, "stroke-width": 1.5 });
      const back = up ? -8 : 8;
      add("path", { d: `M${x2} ${y2}l${back} -3v7z`, fill: stroke });
      add("text", { x: left - 6, y: y + 29, fill: ink, "text-anchor": "end", "font-size": 11 }, item.querySelector(".number").textContent);
    }
  }
  return new XMLSerializer().serializeToString(svg);
}

// A phone has no room for what is for all four, above them.
if (matchMedia("(max-width: 40rem)").matches) document.querySelector(".all").open = false;

watch(lost);
follow();
