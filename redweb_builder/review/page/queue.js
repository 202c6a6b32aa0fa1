"use strict";
// The samples, what stands about them, and the queue of those that are shown, in their order.
const FILM = 17; // neighbours shown at the most
const MOST_KEPT_ALIVE = 60000; // letters of a request that outlives the page; browsers refuse more than 64 KiB
let data;
let samples;
let decided = new Map(); // by key, which may be any word: an object has a `constructor`
let queue = [];
let at = 0;

const enc = encodeURIComponent;
const sample = () => queue[at];
const nowOf = (pair) => decided.get(pair.key);
const status = (pair) => ({ accept: "kept", reject: "rejected" })[nowOf(pair)?.verdict] || pair.status;
const labelled = (pair) => pair.width !== null;
const mine = (pair) => nowOf(pair)?.verdicts.find(([who]) => who === data.reviewer);

function posted(content) {
  const body = JSON.stringify({ reviewer: data.reviewer, ...content });
  const keepalive = body.length < MOST_KEPT_ALIVE; // so that it arrives where the page is closed
  return { method: "POST", keepalive, headers: { "Content-Type": "application/json" }, body };
}
async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} : posted(body)).catch(() => {
    throw new Error("the review does not answer; was it ended?");
  });
  const content = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new Error(content?.error || `the server answered ${answer.status}`);
  return content;
}

const QUEUES = {
  all: ["all pairs", () => true],
  open: ["not decided by me", (pair) => !mine(pair)],
  kept: ["kept", (pair) => status(pair) === "kept"],
  borderline: ["borderline", (pair) => pair.borderline],
  rejected: ["rejected", (pair) => status(pair) === "rejected"],
  mine: ["decided by me", (pair) => Boolean(mine(pair))],
  disputed: ["disputed", (pair) => Boolean(nowOf(pair)?.disputed)],
};
function compare(name, descending) {
  return (a, b) => {
    // what has no value comes last either way
    if (a[name] === null || b[name] === null) return (a[name] === null) - (b[name] === null);
    const order = a[name] < b[name] ? -1 : a[name] > b[name] ? 1 : 0;
    return (descending ? -order : order) || (a.key < b.key ? -1 : 1);
  };
}
function fillQueues() {
  $("queue").replaceChildren(
    ...Object.entries(QUEUES).map(([name, [title, test]]) =>
      make("option", {
        value: name,
        textContent: `${title} (${samples.filter(test).length})`,
        selected: name === ($("queue").value || "all"),
      }),
    ),
  );
}
function requeue(stay) {
  const here = stay ? sample()?.key : null,
    text = $("search").value.trim().toLowerCase();
  const [name, descending] = [$("sort").value.replace("-", ""), $("sort").value.startsWith("-")];
  queue = samples
    .filter(QUEUES[$("queue").value][1])
    .filter((pair) => pair.key.toLowerCase().includes(text))
    .sort(compare(name, descending));
  const place = queue.findIndex((pair) => pair.key === here);
  const open = queue.findIndex((pair) => !mine(pair));
  go(place >= 0 ? place : Math.max(0, open));
}
function go(to) {
  endStroke(); // it is of the pair that is left
  at = Math.min(Math.max(0, to), Math.max(0, queue.length - 1));
  points = [];
  zoom = { scale: 1, x: 0, y: 0 };
  draw();
}
function drawFilm() {
  const fits = Math.max(3, Math.min(FILM, Math.floor((innerWidth - 36) / (innerWidth > 900 ? 104 : 78))));
  const first = Math.max(0, Math.min(at - Math.floor(fits / 2), queue.length - fits));
  const hasFocus = $("film").contains(document.activeElement); // which goes with what is replaced
  $("film").replaceChildren(
    ...queue.slice(first, first + fits).map((pair, n) => {
      const kept = status(pair),
        mark = make("span", { className: `mark ${kept}${nowOf(pair)?.verdict ? " decided" : ""}` }, icon(kept));
      const button = make(
        "button",
        { type: "button", title: pair.key, onclick: () => go(first + n) },
        labelled(pair) ? crop(data.strip, pair, 0, source("strip", pair)) : "",
        mark,
      );
      button.setAttribute("aria-label", `${pair.key}, ${kept}`);
      button.setAttribute("aria-current", first + n === at);
      return button;
    }),
  );
  if (hasFocus) $("film").querySelector("[aria-current=true]")?.focus();
}
