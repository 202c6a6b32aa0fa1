"use strict";
// The review page: a decision a key. Every decision is on the server's disk before the next sample is shown.
const KEYS = [
  ["a", "accept; a rejected sample is rescued"],
  ["r", "reject, with a reason"],
  ["x", "eyes are swapped: near is far"],
  ["s", "skip"],
  ["u", "undo your last decision"],
  ["← →", "previous, next"],
  ["Home End", "first, last"],
  ["1 … 9", "what is shown"],
  ["f", "flicker left and right"],
  ["b", "brush: mark what is wrong as unknown"],
  ["d", "depth over the photograph, on and off"],
  ["z", "fit, or twice as large"],
  ["+ −", "zoom"],
  ["p", "forget the two points"],
  ["n", "your name"],
  ["t", "theme"],
  ["?", "this list"],
];
let busy = false; // while a decision is on its way

// ---- what the page says about the sample
function draw() {
  drawStage();
  const pair = sample();
  for (const id of ["accept", "reject", "skip", "swapped"]) $(id).disabled = !pair;
  say("");
  drawVerdict();
  drawFilm();
  const done = samples.filter(mine).length;
  $("progress").max = samples.length || 1;
  $("progress").value = done;
  $("progress-text").replaceChildren(
    `${done} of ${samples.length} by `,
    make("bdi", { textContent: data.reviewer }),
    `, ${samples.length - done} left`,
  );
  for (const next of [queue[at + 1], queue[at - 1]]) {
    if (next && labelled(next))
      for (const kind of (PANES[view] || [[view]]).flat()) new Image().src = source(kind, next);
  }
}
function drawVerdict() {
  const pair = sample();
  if (!pair) {
    $("verdict").replaceChildren();
    $("about").replaceChildren();
    return;
  }
  const now = nowOf(pair),
    kept = status(pair);
  const word = now?.verdict
    ? `${kept}, decided`
    : pair.reason && kept === "rejected"
      ? pair.reason
      : pair.borderline
        ? `${kept}, borderline`
        : kept;
  $("verdict").replaceChildren(
    make("h2", { textContent: pair.key }),
    make(
      "div",
      { className: "state" },
      make("span", { className: `status ${kept}` }, icon(kept), word),
      make("span", { className: "soft", textContent: `${at + 1} of ${queue.length}` }),
    ),
  );
  $("accept-text").textContent = pair.status === "rejected" ? "Rescue" : "Accept";
  $("accept").disabled = !labelled(pair);
  const my = mine(pair)?.[1];
  $("accept").setAttribute("aria-pressed", my === "accept");
  $("reject").setAttribute("aria-pressed", my === "reject");
  const verdicts = (now?.verdicts || []).map(([who, what, why, when]) =>
    make(
      "li",
      {},
      make("bdi", { textContent: who }),
      `: ${what}${why ? ", " : ""}`,
      make("bdi", { textContent: why || "" }),
      ` (${new Date(when).toLocaleString()})`,
    ),
  );
  const sources = [...new Set([pair.left, pair.right])].map((name) => make("p", { textContent: name }));
  $("about").replaceChildren(
    ...(verdicts.length
      ? [
          make("h3", { textContent: now.disputed ? "Verdicts (disputed)" : "Verdicts" }),
          make("ul", { className: "verdicts" }, ...verdicts),
        ]
      : []),
    ...(pair.status === "rejected"
      ? [
          make("h3", { textContent: "Why the filters rejected it" }),
          make("p", { textContent: data.reasons[pair.reason] || pair.reason }),
          make("p", { className: "soft", textContent: pair.detail || "" }),
        ]
      : []),
    make("h3", { textContent: "Measurements" }),
    measurements(data, pair),
    make("h3", { textContent: `Source, ${pair.layout}: ${pair.rule}` }),
    ...sources,
    ...(labelled(pair)
      ? [make("p", {}, make("a", { href: `/points/${enc(pair.key)}`, textContent: "Point cloud (.ply)" }))]
      : []),
  );
}
function say(text, failed = false) {
  $("message").textContent = text;
  $("message").className = failed ? "failed" : "soft";
}
// ---- deciding
function mustWait() {
  if (busy) say("Not done: what you decided before is still being saved. Once more, please.", true);
  return busy;
}
async function send(path, body, after) {
  if (mustWait()) return;
  busy = true;
  try {
    const answer = await ask(path, body);
    if (answer) decided.set(answer.key, answer.now);
    after(answer);
  } catch (error) {
    say(`Not saved: ${error.message.replace(/^not saved: /, "")}`, true);
  } finally {
    busy = false;
  }
}
function decide(decision, reason = null) {
  const pair = sample();
  if (!pair || (decision === "accept" && !labelled(pair))) return;
  send("/api/decide", { key: pair.key, decision, reason }, () => {
    const here = sample() === pair, // not so where another was gone to meanwhile: that one is not passed over
      last = here && at === queue.length - 1;
    if (here) go(at + 1);
    else draw();
    if (last) sayLast(decision);
    else say(`${pair.key}: ${decision}${reason ? `, ${reason}` : ""}. u takes it back.`);
  });
}
// At the end of what is shown: how many are left, and the way to them.
function sayLast(decision) {
  const left = samples.filter((pair) => !mine(pair)).length;
  const others = make("button", { type: "button", textContent: `Show the ${left} left` });
  others.onclick = () => {
    $("search").value = "";
    fillQueues();
    $("queue").value = "open";
    requeue(false);
  };
  $("message").replaceChildren(
    `${decision} saved. This was the last one shown. `,
    left ? others : "You have decided about every pair.",
  );
}
function undo() {
  send("/api/undo", {}, (answer) => {
    if (!answer) {
      say("There is nothing of yours to undo.");
      return;
    }
    const place = queue.findIndex((pair) => pair.key === answer.key);
    if (place >= 0) go(place);
    else draw();
    say(`${answer.key}: your decision is taken back.`);
  });
}
function askReason() {
  if (!sample() || $("reasons").open || mustWait()) return; // else the next pair would come while it is asked about this one
  $("reason-text").value = "";
  $("reasons").showModal();
  $("reason-list").firstElementChild.focus();
}
function rejectFor(reason) {
  $("reasons").close();
  decide("reject", reason || null);
}

// ---- who decides: asked once where the page is served to other devices
const OWN_MACHINE = ["127.0.0.1", "localhost"].includes(location.hostname);
function askName() {
  $("name-text").value = data.reviewer;
  $("name").showModal();
  $("name-text").select();
}
function takeName(name) {
  data.reviewer = name;
  localStorage.setItem("redweb-reviewer", name);
  fillQueues();
  draw();
}

// ---- hands: keys, pointer, buttons
const ACTIONS = {
  a: () => decide("accept"),
  r: askReason,
  s: () => decide("skip"),
  u: undo,
  x: () => decide("reject", "eyes-swapped"),
  ArrowRight: () => go(at + 1),
  ArrowLeft: () => go(at - 1),
  Home: () => go(0),
  End: () => go(queue.length - 1),
  f: toggleFlicker,
  b: () => toggleBrush(),
  d: () => show(view === "overlay" ? "photo" : "overlay"),
  z: () => zoomTo(zoom.scale > 1 ? 1 : 2),
  p: () => {
    points = [];
    drawPoints();
  },
  "+": () => zoomTo(zoom.scale * 1.4),
  "=": () => zoomTo(zoom.scale * 1.4),
  "-": () => zoomTo(zoom.scale / 1.4),
  n: askName,
  t: nextTheme,
  "?": () => $("help").showModal(),
};
function show(name) {
  view = name;
  drawStage();
}
// A dialog that was closed by Enter keeps the focus for a moment: the key after it is not typed into it.
const isTypedIn = (field) => field.matches("select, input:not([type=range], [type=checkbox])") && !field.closest("dialog:not([open])");
const SLIDES = /^(Arrow|Page|Home$|End$)/; // the keys of a slider that was reached by keyboard
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (SLIDES.test(event.key) && event.target.matches("input[type=range]:focus-visible")) return;
  if ($("reasons").open) {
    const reason = event.target.id !== "reason-text" && data.say[+event.key - 1];
    if (reason) {
      event.preventDefault();
      rejectFor(reason);
    }
    return;
  }
  if ($("help").open || $("name").open || !data || isTypedIn(event.target)) return;
  const action = VIEWS[event.key] ? () => show(VIEWS[event.key][0]) : ACTIONS[event.key];
  if (!action || (event.repeat && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  action();
});
{
  const stage = $("stage");
  let from = null;
  const paneAt = (event) =>
    [...document.querySelectorAll(".pane")].find((pane) => {
      const box = pane.getBoundingClientRect();
      return (
        event.clientX >= box.left && event.clientX < box.right && event.clientY >= box.top && event.clientY < box.bottom
      );
    });
  const where = (event) => {
    const box = paneAt(event)?.firstElementChild.getBoundingClientRect();
    return box ? [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] : [-1, -1];
  };
  const zoomAt = (scale, place) => {
    const room = (paneAt(place) || stage).getBoundingClientRect();
    zoomTo(scale, place.clientX - room.left, place.clientY - room.top);
  };
  const fingers = new Map(); // by pointer, the latest event of each that is on the picture
  let stretch = 1; // zoom for each px between two fingers
  const between = () => {
    const [a, b] = fingers.values();
    const apart = Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY));
    return { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2, apart };
  };
  const hold = () => {
    if (fingers.size === 2) stretch = zoom.scale / between().apart;
  };
  const pinch = (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = fingers.size === 2 && between();
    fingers.set(event.pointerId, event);
    if (!before || !sheets().length) return;
    const now = between();
    zoom.x += now.clientX - before.clientX;
    zoom.y += now.clientY - before.clientY;
    zoomAt(stretch * now.apart, now);
  };
  const lift = (event) => {
    if (fingers.delete(event.pointerId)) hold();
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".opacity")) return;
    if (event.pointerType === "touch") fingers.set(event.pointerId, event);
    hold();
    from = fingers.size > 1 ? null : { x: event.clientX, y: event.clientY, moved: false, zoom: { ...zoom } };
  });
  stage.addEventListener("pointermove", (event) => {
    pinch(event);
    if (turn) {
      const [x, y] = where(event);
      turn(Math.max(-1, Math.min(1, 2 * x - 1)), Math.max(-1, Math.min(1, 2 * y - 1)));
    }
    if (!from) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    if (Math.hypot(dx, dy) > 4) from.moved = true;
    if (from.moved && zoom.scale > 1) {
      stage.classList.add("dragged");
      zoom = { ...from.zoom, x: from.zoom.x + dx, y: from.zoom.y + dy };
      zoomTo(zoom.scale);
    }
  });
  addEventListener("pointercancel", (event) => {
    lift(event);
    from = null; // the page is scrolled instead
  });
  addEventListener("pointerup", (event) => {
    lift(event);
    stage.classList.remove("dragged");
    const [x, y] = where(event),
      click = from && !from.moved && !turn && x >= 0 && x < 1 && y >= 0 && y < 1;
    from = null;
    if (click) addPoint(x, y);
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!sheets().length) return;
      event.preventDefault();
      zoomAt(zoom.scale * Math.exp(-event.deltaY / 400), event);
    },
    { passive: false },
  );
  new ResizeObserver(() => {
    if (data && sheets().length) {
      place();
      drawFilm();
    }
  }).observe(stage);
}
for (const [id, action] of [
  ["accept", ACTIONS.a],
  ["reject", askReason],
  ["skip", ACTIONS.s],
  ["undo", undo],
  ["swapped", ACTIONS.x],
  ["flicker", toggleFlicker],
  ["fit", ACTIONS.z],
  ["help-open", ACTIONS["?"]],
])
  $(id).onclick = action;
$("opacity").oninput = fade;
$("least").oninput = () => {
  least = +$("least").value;
  hideUnsure();
};
// What was opened by the pointer gives the keys back to the page; who has come by keyboard goes on to the next choice.
const leave = (list) => list.matches(":focus-visible") || list.blur();
$("queue").onchange = () => {
  leave($("queue"));
  requeue(false);
};
$("sort").onchange = () => {
  leave($("sort"));
  requeue(true);
};
$("search").oninput = () => requeue(true);
$("reason-cancel").onclick = () => $("reasons").close();
$("progress-text").onclick = askName;
$("name").querySelector("form").onsubmit = () => {
  const name = $("name-text").value.trim();
  if (name) takeName(name);
};
$("reasons").querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  rejectFor($("reason-text").value.trim());
};
$("views").append(
  ...Object.entries(VIEWS).map(([key, [name, title]]) => {
    const button = make(
      "button",
      { type: "button", onclick: () => show(name) },
      `${title} `,
      make("kbd", { textContent: key }),
    );
    button.dataset.view = name;
    return button;
  }),
);
$("keys").append(
  ...KEYS.flatMap(([keys, meaning]) => [
    make("dt", {}, ...keys.split(" ").map((key) => (key === "…" ? " … " : make("kbd", { textContent: key })))),
    make("dd", { textContent: meaning }),
  ]),
);

(async () => {
  const parsed = new Promise((done) => addEventListener("DOMContentLoaded", done)); // brush.js has run by then, too
  const [table, verdicts] = await Promise.all([ask("/api/samples"), ask("/api/decisions"), parsed]);
  [data, decided] = [table, new Map(Object.entries(verdicts))];
  samples = samplesOf(data);
  const remembered = OWN_MACHINE ? null : localStorage.getItem("redweb-reviewer");
  data.reviewer = remembered || data.reviewer;
  const names = Object.entries(data.numbers);
  $("sort").append(
    make("option", { value: "key", textContent: "name" }),
    ...names.flatMap(([name, { title }]) => [
      make("option", { value: name, textContent: `${title}, smallest first` }),
      make("option", { value: `-${name}`, textContent: `${title}, largest first` }),
    ]),
  );
  if ("cross_agreement" in data.numbers) $("sort").value = "cross_agreement"; // a curated set: the worst first
  $("reason-list").append(
    ...data.say.map((reason, n) =>
      make("button", { type: "button", onclick: () => rejectFor(reason) }, make("kbd", { textContent: n + 1 }), reason),
    ),
  );
  fillQueues();
  $("queue").onfocus = fillQueues;
  requeue(false);
  document.body.dataset.ready = "yes";
  if (!OWN_MACHINE && !remembered) askName();
})().catch((error) => {
  $("stage-status").textContent = `The data set cannot be shown: ${error.message}`;
});
