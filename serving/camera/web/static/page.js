// The page asks for the status every two seconds and for a picture as often as the worker gives one, as long as
// somebody can see it. Whatever comes from outside is written as text, never as HTML.
"use strict";

const STATES = {
  live: ["good", "Live"],
  connecting: ["warn", "Connecting"],
  waiting: ["bad", "No connection"],
  frozen: ["warn", "Picture frozen"],
  black: ["warn", "Picture black"],
  ended: ["calm", "Clip ended"],
  failed: ["bad", "Failed"],
  stopped: ["calm", "Stopped"],
};
const EVERY = 2000;
const tiles = new Map();
let silentSince = null;

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function time(iso) {
  return iso ? new Date(iso).toLocaleTimeString() : "never";
}

function number(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString();
}

class Tile {
  constructor(name) {
    this.name = name;
    this.seen = "";
    this.pause = 250;
    this.busy = false;
    this.visible = true;
    this.hidden = "";
    this.status = null;
    this.root = make("article", "camera");
    this.root.dataset.camera = name;
    const head = make("div", "head");
    const title = make("h2", "", name);
    title.id = `camera-${tiles.size}-${Math.random().toString(36).slice(2)}`;
    this.root.setAttribute("aria-labelledby", title.id);
    this.state = make("span", "state");
    head.append(title, this.state);
    this.picture = make("button", "picture bare");
    this.picture.type = "button";
    this.picture.setAttribute("aria-pressed", "false");
    this.picture.title = "Larger or smaller";
    this.image = make("img");
    this.image.hidden = true;
    this.image.alt = `Live picture of ${name}`;
    this.note = make("span", "note", "No picture yet");
    this.picture.append(this.image, this.note);
    this.picture.addEventListener("click", () => {
      const wide = this.root.classList.toggle("wide");
      this.picture.setAttribute("aria-pressed", String(wide));
    });
    this.body = make("div", "body");
    this.error = make("p", "error");
    this.counts = make("div");
    this.facts = make("dl", "facts");
    this.body.append(this.error, this.counts, this.facts);
    this.root.append(head, this.picture, this.body);
    watched.observe(this.root);
    this.timer = setTimeout(() => this.look(), 0);
  }

  remove() {
    clearTimeout(this.timer);
    this.removed = true;
    watched.unobserve(this.root);
    if (this.image.src) URL.revokeObjectURL(this.image.src);
    this.root.remove();
  }

  update(status) {
    this.status = status;
    const [colour, words] = STATES[status.state] || ["calm", status.state];
    this.state.className = `state ${colour}`;
    setText(this.state, words);
    setText(this.error, status.error);
    this.error.hidden = !status.error;
    this.showNote();
    this.showCounts(status.today);
    this.showFacts(status);
  }

  showNote() {
    const bare = this.image.hidden;
    const status = this.status;
    const lives = status && ["live", "frozen", "black"].includes(status.state) && silentSince === null;
    let note = "";
    if (bare) note = "No picture yet";
    else if (!lives) note = `Not live: last picture at ${time(this.seen)}`;
    else if (this.hidden) note = `Hidden: ${this.hidden}`;
    this.picture.classList.toggle("bare", bare);
    this.image.classList.toggle("old", !bare && !lives);
    setText(this.note, note);
    this.note.hidden = !note;
  }

  showCounts(today) {
    const parts = [];
    const lines = Object.entries((today && today.lines) || {});
    const zones = Object.entries((today && today.zones) || {});
    if (lines.length) {
      parts.push(table("Lines, today", ["Line", "In", "Out"], lines.map(([name, n]) => [name, n.in, n.out])));
    }
    if (zones.length) {
      parts.push(
        table(
          "Zones, today",
          ["Zone", "Now", "Entered", "Left"],
          zones.map(([name, n]) => [name, n.occupancy, n.entered, n.left]),
        ),
      );
    }
    this.counts.replaceChildren(...parts);
    this.counts.hidden = !parts.length;
  }

  showFacts(status) {
    const facts = [
      ["Frames/s", status.fps.toFixed(1)],
      ["Delay", status.delay_ms ? `${Math.round(status.delay_ms)} ms` : "–"],
      ["Last frame", time(status.last_frame)],
      ["Left out", number(status.dropped + status.stale)],
      ["Damaged", number(status.corrupt)],
      ["Reconnects", number(status.reconnects)],
      ["Model", status.version || "–"],
    ];
    this.facts.replaceChildren(
      ...facts.map(([word, value]) => {
        const pair = make("div");
        pair.append(make("dt", "", word), make("dd", "", value));
        return pair;
      }),
    );
  }

  async look() {
    if (this.removed) return;
    if (this.visible && !document.hidden) {
      try {
        await this.fetchPicture();
      } catch {
        // the status tells that the worker does not answer
      }
    }
    if (!this.removed) this.timer = setTimeout(() => this.look(), this.pause);
  }

  async fetchPicture() {
    const url = `/cameras/${encodeURIComponent(this.name)}/picture.jpg?after=${encodeURIComponent(this.seen)}`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(10000) });
    if (answer.status === 404) {
      this.pause = EVERY;
      return;
    }
    this.pause = Math.max(1000 / (Number(answer.headers.get("X-Pictures-Per-Second")) || 4), 30);
    if (answer.status !== 200) return;
    const picture = URL.createObjectURL(await answer.blob());
    const before = this.image.src;
    this.image.src = picture;
    this.image.hidden = false;
    this.seen = answer.headers.get("X-Picture-Time") || "";
    this.hidden = answer.headers.get("X-Hidden") || "";
    if (before) URL.revokeObjectURL(before);
    this.showNote();
  }
}

function table(caption, heads, rows) {
  const made = make("table");
  made.append(make("caption", "", caption));
  const head = make("tr");
  heads.forEach((text, i) => {
    const cell = make("th", i ? "n" : "", text);
    cell.scope = "col";
    head.append(cell);
  });
  const thead = make("thead");
  thead.append(head);
  const body = make("tbody");
  for (const [name, ...numbers] of rows) {
    const row = make("tr");
    const cell = make("th", "", name);
    cell.scope = "row";
    row.append(cell, ...numbers.map((n) => make("td", "n", number(n))));
    body.append(row);
  }
  made.append(thead, body);
  return made;
}

const watched = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const tile = tiles.get(entry.target.dataset.camera);
      if (tile) tile.visible = entry.isIntersecting;
    }
  },
  { rootMargin: "200px" },
);

function showProblems(sentences) {
  const list = document.getElementById("problems");
  const now = [...list.children].map((item) => item.textContent);
  if (now.join("\n") !== sentences.join("\n")) list.replaceChildren(...sentences.map((text) => make("li", "", text)));
  list.hidden = !sentences.length;
}

function show(status) {
  const names = new Set(status.cameras.map((camera) => camera.camera));
  for (const [name, tile] of tiles) {
    if (!names.has(name)) {
      tile.remove();
      tiles.delete(name);
    }
  }
  const grid = document.getElementById("cameras");
  status.cameras.forEach((camera, i) => {
    let tile = tiles.get(camera.camera);
    if (!tile) {
      tile = new Tile(camera.camera);
      tiles.set(camera.camera, tile);
    }
    if (grid.children[i] !== tile.root) grid.insertBefore(tile.root, grid.children[i] || null);
    tile.update(camera);
  });
  document.getElementById("empty").hidden = names.size > 0;
  const live = status.cameras.filter((camera) => camera.state === "live").length;
  const words = names.size === 1 ? "camera" : "cameras";
  const summary = names.size ? `${live} of ${names.size} ${words} live` : "No camera";
  setText(document.getElementById("summary"), summary);
  document.title = `${summary} · camera counting`;
  const problems = [];
  if (status.model_error) problems.push(`Model: ${status.model_error}`);
  if (!status.durable) {
    const why = status.state_error || "the reason is in the worker's log";
    problems.push(`Counts are not being written, and a restart would lose them: ${why}`);
  }
  if (status.state_trouble) problems.push(`State: ${status.state_trouble}`);
  for (const sink of status.sinks) {
    if (!sink.up) problems.push(`Sink ${sink.name}: ${sink.error || "down"} (${number(sink.waiting)} waiting)`);
    if (sink.lost) problems.push(`Sink ${sink.name} has lost ${number(sink.lost)} records`);
    if (sink.refused) problems.push(`Sink ${sink.name} refused ${number(sink.refused)} records: they are in refused-${sink.name}.jsonl in the state folder`);
  }
  showProblems(problems);
  document.getElementById("about").hidden = false;
  document.getElementById("sinks").replaceChildren(...sinkRows(status.sinks));
  const version = status.version ? `version ${status.version}` : "not loaded yet";
  setText(document.getElementById("model"), `Model ${status.model}, ${version}. Up since ${new Date(status.started).toLocaleString()}.`);
}

function sinkRows(sinks) {
  if (!sinks.length) {
    const row = make("tr");
    const cell = make("td", "", "No sink is configured: counts stay in the worker's state.");
    cell.colSpan = 5;
    row.append(cell);
    return [row];
  }
  return sinks.map((sink) => {
    const row = make("tr");
    const name = make("th", "", sink.name);
    name.scope = "row";
    const state = make("td");
    state.append(make("span", `state ${sink.up ? "good" : "bad"}`, sink.up ? "Up" : "Down"));
    row.append(name, state, ...[sink.delivered, sink.waiting, sink.lost].map((n) => make("td", "n", number(n))));
    return row;
  });
}

async function ask() {
  try {
    const answer = await fetch("/api/status", { signal: AbortSignal.timeout(10000) });
    if (answer.status === 401) {
      location.assign("/login");
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    silentSince = null;
    show(await answer.json());
  } catch {
    silentSince = silentSince || new Date();
    setText(document.getElementById("summary"), "The worker does not answer");
    showProblems([`The worker has not answered since ${silentSince.toLocaleTimeString()}. What you see is not live.`]);
    for (const tile of tiles.values()) tile.showNote();
  }
  setTimeout(ask, EVERY);
}

document.getElementById("here").textContent = location.origin;
document.getElementById("leave").addEventListener("click", async () => {
  await fetch("/logout", { method: "POST", headers: { "X-Camera-Counting": "1" } });
  location.assign("/login");
});
ask();
