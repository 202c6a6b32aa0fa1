"use strict";
// The samples, what stands about them, and the queue of those that are shown, in their order.
const FILM = 17; // neighbours shown at the most
let data;
let samples;
let decided = {};
let queue = [];
let at = 0;

const enc = encodeURIComponent;
const sample = () => queue[at];
const nowOf = (one) => decided[one.key];
const status = (one) => ({ accept: "kept", reject: "rejected" })[nowOf(one)?.verdict] || one.status;
const labelled = (one) => one.width !== null;
const mine = (one) => nowOf(one)?.said.find(([who]) => who === data.reviewer);

async function ask(path, body) {
  const answer = await fetch(
    path,
    body === undefined
      ? {}
      : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) },
  );
  const told = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new Error(told?.error || `the server answered ${answer.status}`);
  return told;
}

const QUEUES = {
  all: ["all pairs", () => true],
  open: ["not decided by me", (one) => !mine(one)],
  kept: ["kept", (one) => status(one) === "kept"],
  borderline: ["borderline", (one) => one.borderline],
  rejected: ["rejected", (one) => status(one) === "rejected"],
  mine: ["decided by me", (one) => Boolean(mine(one))],
  disputed: ["disputed", (one) => Boolean(nowOf(one)?.disputed)],
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
    ...Object.entries(QUEUES).map(([name, [told, test]]) =>
      make("option", {
        value: name,
        textContent: `${told} (${samples.filter(test).length})`,
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
    .filter((one) => one.key.toLowerCase().includes(text))
    .sort(compare(name, descending));
  const found = queue.findIndex((one) => one.key === here);
  const open = queue.findIndex((one) => !mine(one));
  go(found >= 0 ? found : Math.max(0, open));
}
function go(to) {
  at = Math.min(Math.max(0, to), Math.max(0, queue.length - 1));
  points = [];
  zoom = { scale: 1, x: 0, y: 0 };
  draw();
}
function drawFilm() {
  const fits = Math.max(3, Math.min(FILM, Math.floor((innerWidth - 36) / (innerWidth > 900 ? 104 : 78))));
  const first = Math.max(0, Math.min(at - Math.floor(fits / 2), queue.length - fits));
  $("film").replaceChildren(
    ...queue.slice(first, first + fits).map((one, n) => {
      const kept = status(one),
        mark = make("span", { className: `mark ${kept}${nowOf(one)?.verdict ? " decided" : ""}` }, icon(kept));
      const button = make(
        "button",
        { type: "button", title: one.key, onclick: () => go(first + n) },
        labelled(one) ? crop(data.strip, one, 0, source("strip", one)) : "",
        mark,
      );
      button.setAttribute("aria-label", `${one.key}, ${kept}`);
      button.setAttribute("aria-current", first + n === at);
      return button;
    }),
  );
}
