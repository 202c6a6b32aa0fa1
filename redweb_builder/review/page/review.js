"use strict";
// The review page: a queue of samples, one of them on the stage, a decision a key. Every decision is on the server's
// disk before the next sample is shown.
const VIEWS = { 1: ["both", "Both"], 2: ["photo", "Photo"], 3: ["depth", "Depth"], 4: ["overlay", "Overlay"], 5: ["mask", "Mask"], 6: ["right", "Right"], 7: ["strip", "Steps"], 8: ["parallax", "Parallax"] };
const PANES = { both: [["photo"], ["depth"]], overlay: [["photo", "depth"]], parallax: [[]] }; // pictures on top of each other, pane by pane
const KEYS = [["a", "accept; a rejected sample is rescued"], ["r", "reject, with a reason"], ["x", "eyes are swapped: near is far"], ["s", "skip"], ["u", "undo your last decision"], ["← →", "previous, next"], ["Home End", "first, last"], ["1 … 8", "what is shown"], ["f", "flicker left and right"], ["d", "depth over the photograph, on and off"], ["z", "fit, or twice as large"], ["+ −", "zoom"], ["p", "forget the two points"], ["t", "theme"], ["?", "this list"]];
const FLICKER_MS = 500; // one change; three flashes a second and more can harm
const FILM = 17;
let data, samples, decided = {}, queue = [], at = 0, view = innerWidth > 900 ? "both" : "depth", flicker = null, zoom = { scale: 1, x: 0, y: 0 }, points = [], turn = null, busy = false;

const enc = encodeURIComponent;
const sample = () => queue[at];
const nowOf = (one) => decided[one.key];
const status = (one) => ({ accept: "kept", reject: "rejected" })[nowOf(one)?.verdict] || one.status;
const labelled = (one) => one.width !== null;
const mine = (one) => nowOf(one)?.said.find(([who]) => who === data.reviewer);

async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const told = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new Error(told?.error || `the server answered ${answer.status}`);
  return told;
}

// ---- the queue
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
  return (a, b) => { // what has no value comes last either way
    if (a[name] === null || b[name] === null) return (a[name] === null) - (b[name] === null);
    const order = a[name] < b[name] ? -1 : a[name] > b[name] ? 1 : 0;
    return (descending ? -order : order) || (a.key < b.key ? -1 : 1);
  };
}
function fillQueues() {
  $("queue").replaceChildren(...Object.entries(QUEUES).map(([name, [told, test]]) => make("option", { value: name, textContent: `${told} (${samples.filter(test).length})`, selected: name === ($("queue").value || "all") })));
}
function requeue(stay) {
  const here = stay ? sample()?.key : null, text = $("search").value.trim().toLowerCase();
  const [name, descending] = [$("sort").value.replace("-", ""), $("sort").value.startsWith("-")];
  queue = samples.filter(QUEUES[$("queue").value][1]).filter((one) => one.key.toLowerCase().includes(text)).sort(compare(name, descending));
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

// ---- the stage
function source(kind, one = sample()) {
  if (kind === "photo") return `/photo/${enc(one.key)}`;
  if (kind === "strip") return `/preview/${enc(one.key)}`;
  return `/picture/${kind}/${enc(one.key)}`;
}
function image(kind) {
  const one = sample(), picture = make("img", { alt: "", draggable: false, src: source(kind) });
  picture.onerror = async () => {
    const why = await ask(picture.getAttribute("src")).then(() => "", (error) => error.message);
    if (sample() === one) $("stage-told").textContent = why || "The picture cannot be shown";
    picture.hidden = true;
  };
  return picture;
}
function drawStage() {
  stopFlicker();
  turn = null;
  $("stage-told").textContent = "";
  const one = sample();
  $("opacity-label").hidden = view !== "overlay";
  for (const button of $("views").children) button.setAttribute("aria-pressed", button.dataset.view === view);
  if (!one || !labelled(one)) {
    $("panes").replaceChildren();
    $("stage-told").textContent = one ? `No label was made: ${one.detail || one.reason}` : "No sample is like that. Show others.";
    return;
  }
  fillPanes(view === "strip" ? [steps(one)] : (PANES[view] || [[view]]).map((kinds) => kinds.map(image)));
  if (view === "overlay") fade();
  if (view === "parallax") drawParallax(one);
  drawPoints();
}
function steps(one) {
  return data.strip.columns.map((name, n) => {
    const box = crop(data.strip, one, n, source("strip")), figure = make("figure", {}, box, make("figcaption", { textContent: name }));
    box.style.width = box.style.height = "100%";
    figure.style.left = `${100 * (n % 3) / 3}%`;
    figure.style.top = `${n < 3 ? 0 : 50}%`;
    return figure;
  });
}
function fillPanes(pictures) {
  $("panes").replaceChildren(...pictures.map((layers) => make("div", { className: "pane" }, make("div", { className: view === "strip" ? "sheet steps" : "sheet" }, ...layers))));
  place();
}
const sheets = () => [...document.querySelectorAll(".sheet")];
function fade() {
  const over = document.querySelectorAll(".sheet img")[1];
  if (view === "overlay" && over) over.style.opacity = $("opacity").value / 100;
}
async function drawParallax(one) {
  const canvas = make("canvas", { width: one.width, height: one.height });
  const [photo, near] = ["photo", "parallax"].map((kind) => make("img", { src: source(kind) }));
  try {
    await Promise.all([photo.decode(), near.decode()]);
  } catch {
    if (sample() === one) $("stage-told").textContent = "The picture cannot be read";
    return;
  }
  if (sample() !== one || view !== "parallax") return;
  turn = parallax(canvas, photo, near);
  $("stage-told").textContent = turn ? "Move the pointer to look around" : "This browser draws no WebGL; the other views do without";
  sheets()[0].replaceChildren(canvas);
  turn?.(0, 0);
}
function frame() {
  const one = sample(), room = document.querySelector(".pane").getBoundingClientRect();
  const [wide, high] = view === "strip" ? [3 * one.width, 2 * one.height] : [one.width, one.height];
  const fit = Math.min(room.width / wide, room.height / high);
  return { width: wide * fit, height: high * fit, left: (room.width - wide * fit) / 2, top: (room.height - high * fit) / 2, room };
}
function place() {
  const { width, height, left, top } = frame();
  for (const sheet of sheets()) Object.assign(sheet.style, { width: `${width}px`, height: `${height}px`, left: `${left}px`, top: `${top}px`, transform: `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})` });
  $("panes").style.setProperty("--unscale", 1 / zoom.scale);
}
function zoomTo(scale, x, y) {
  const { left, top, width, height, room } = frame();
  const [px, py] = [(x ?? room.width / 2) - left, (y ?? room.height / 2) - top];
  scale = Math.min(16, Math.max(1, scale));
  zoom = { scale, x: px - (px - zoom.x) * scale / zoom.scale, y: py - (py - zoom.y) * scale / zoom.scale };
  zoom.x = Math.min(0, Math.max(width * (1 - scale), zoom.x));
  zoom.y = Math.min(0, Math.max(height * (1 - scale), zoom.y));
  place();
}
function stopFlicker() {
  clearInterval(flicker);
  flicker = null;
  $("flicker").setAttribute("aria-pressed", "false");
}
async function toggleFlicker() {
  if (flicker) { drawStage(); return; }
  const one = sample();
  if (!one || !labelled(one)) return;
  drawStage();
  const [left, right] = [image("photo"), image("right")];
  fillPanes([[left, right]]);
  $("stage-told").textContent = "Reading the right eye…";
  $("flicker").setAttribute("aria-pressed", "true");
  try {
    await Promise.all([left.decode(), right.decode()]);
  } catch {
    $("flicker").setAttribute("aria-pressed", "false");
    return; // image() says why
  }
  if (sample() !== one || $("flicker").getAttribute("aria-pressed") === "false") return;
  const swap = () => { right.hidden = !right.hidden; $("stage-told").textContent = right.hidden ? "left" : "right"; };
  swap();
  flicker = setInterval(swap, FLICKER_MS);
}

// ---- two points
async function addPoint(x, y) {
  const one = sample();
  if (!one || !labelled(one) || view === "strip") return;
  if (points.length === 2) points = [];
  points.push({ x: Math.floor(x * one.width), y: Math.floor(y * one.height) });
  drawPoints();
  if (points.length < 2) return;
  const [a, b] = points;
  const told = await ask(`/api/order/${enc(one.key)}?ax=${a.x}&ay=${a.y}&bx=${b.x}&by=${b.y}`).catch((error) => ({ told: error.message, points: [] }));
  if (sample() !== one || points[0] !== a) return;
  const of = ({ basis, disparity }) => (disparity === null ? basis : `${disparity.toFixed(2)} px, ${basis}`);
  $("order").replaceChildren(make("b", { textContent: `${told.told}. ` }), make("span", { className: "soft", textContent: told.points.map((point, n) => `${"AB"[n]}: ${of(point)}`).join("; ") }));
}
function drawPoints() {
  const one = sample();
  for (const old of document.querySelectorAll(".point")) old.remove();
  $("order").textContent = points.length === 1 ? "A is set. Click another place." : points.length ? "" : "Click two places to be told which is nearer.";
  for (const sheet of view === "strip" ? [] : sheets()) points.forEach(({ x, y }, n) => {
    const mark = make("div", { className: "point" });
    mark.dataset.name = "AB"[n];
    mark.style.left = `${100 * (x + .5) / one.width}%`;
    mark.style.top = `${100 * (y + .5) / one.height}%`;
    sheet.append(mark);
  });
}

// ---- what is said about the sample
function draw() {
  drawStage();
  const one = sample();
  for (const id of ["accept", "reject", "skip", "swapped"]) $(id).disabled = !one;
  $("said").textContent = "";
  $("said").className = "soft";
  drawVerdict();
  drawFilm();
  const done = samples.filter(mine).length;
  $("progress").max = samples.length || 1;
  $("progress").value = done;
  $("progress-told").textContent = `${done} of ${samples.length} by ${data.reviewer}`;
  for (const next of [queue[at + 1], queue[at - 1]]) {
    if (next && labelled(next)) for (const kind of (PANES[view] || [[view]]).flat()) new Image().src = source(kind, next);
  }
}
function drawVerdict() {
  const one = sample();
  if (!one) { $("verdict").replaceChildren(); $("about").replaceChildren(); return; }
  const now = nowOf(one), kept = status(one);
  const word = now?.verdict ? `${kept}, decided` : one.reason && kept === "rejected" ? one.reason : one.borderline ? `${kept}, borderline` : kept;
  $("verdict").replaceChildren(
    make("h2", { textContent: one.key }),
    make("div", { className: "state" }, make("span", { className: `status ${kept}` }, icon(kept), word), make("span", { className: "soft", textContent: `${at + 1} of ${queue.length}` })),
  );
  $("accept-told").textContent = one.status === "rejected" ? "Rescue" : "Accept";
  $("accept").disabled = !labelled(one);
  const my = mine(one)?.[1];
  $("accept").setAttribute("aria-pressed", my === "accept");
  $("reject").setAttribute("aria-pressed", my === "reject");
  const said = (now?.said || []).map(([who, what, why, when]) => make("li", { textContent: `${who}: ${what}${why ? `, ${why}` : ""} (${new Date(when).toLocaleString()})` }));
  const sources = [...new Set([one.left, one.right])].map((name) => make("p", { textContent: name }));
  $("about").replaceChildren(
    ...(said.length ? [make("h3", { textContent: now.disputed ? "Said about it (disputed)" : "Said about it" }), make("ul", { className: "said-by" }, ...said)] : []),
    ...(one.status === "rejected" ? [make("h3", { textContent: "Why the filters rejected it" }), make("p", { textContent: data.reasons[one.reason] || one.reason }), make("p", { className: "soft", textContent: one.detail || "" })] : []),
    make("h3", { textContent: "Measurements" }), measurements(data, one),
    make("h3", { textContent: `Source, ${one.layout}: ${one.rule}` }), ...sources,
    ...(labelled(one) ? [make("p", {}, make("a", { href: `/points/${enc(one.key)}`, textContent: "Point cloud (.ply)" }))] : []),
  );
}
function drawFilm() {
  const fits = Math.max(3, Math.min(FILM, Math.floor((innerWidth - 36) / (innerWidth > 900 ? 104 : 78))));
  const first = Math.max(0, Math.min(at - Math.floor(fits / 2), queue.length - fits));
  $("film").replaceChildren(...queue.slice(first, first + fits).map((one, n) => {
    const kept = status(one), mark = make("span", { className: `mark ${kept}${nowOf(one)?.verdict ? " decided" : ""}` }, icon(kept));
    const button = make("button", { type: "button", title: one.key, onclick: () => go(first + n) }, labelled(one) ? crop(data.strip, one, 0, source("strip", one)) : "", mark);
    button.setAttribute("aria-label", `${one.key}, ${kept}`);
    button.setAttribute("aria-current", first + n === at);
    return button;
  }));
}

// ---- deciding
async function send(path, body, after) {
  if (busy) return;
  busy = true;
  try {
    const told = await ask(path, body);
    if (told) decided[told.key] = told.now;
    after(told);
  } catch (error) {
    $("said").textContent = `Not saved: ${error.message.replace(/^not saved: /, "")}`;
    $("said").className = "failed";
  } finally {
    busy = false;
  }
}
function decide(decision, reason = null) {
  const one = sample();
  if (!one || (decision === "accept" && !labelled(one))) return;
  send("/api/decide", { key: one.key, decision, reason }, () => {
    const last = at === queue.length - 1;
    go(at + 1);
    $("said").textContent = last ? `${decision} saved. This was the last one shown.` : `${one.key}: ${decision}${reason ? `, ${reason}` : ""}. u takes it back.`;
  });
}
function undo() {
  send("/api/undo", {}, (told) => {
    if (!told) { $("said").textContent = "There is nothing of yours to undo."; return; }
    const found = queue.findIndex((one) => one.key === told.key);
    if (found >= 0) go(found); else draw();
    $("said").textContent = `${told.key}: your decision is taken back.`;
  });
}
function askReason() {
  if (!sample() || $("reasons").open) return;
  $("reason-text").value = "";
  $("reasons").showModal();
  $("reason-list").firstElementChild.focus();
}
function rejectFor(reason) {
  $("reasons").close();
  decide("reject", reason || null);
}

// ---- hands: keys, pointer, buttons
const ACTIONS = {
  a: () => decide("accept"), r: askReason, s: () => decide("skip"), u: undo, x: () => decide("reject", "eyes-swapped"),
  ArrowRight: () => go(at + 1), ArrowLeft: () => go(at - 1), Home: () => go(0), End: () => go(queue.length - 1),
  f: toggleFlicker, d: () => show(view === "overlay" ? "photo" : "overlay"), z: () => zoomTo(zoom.scale > 1 ? 1 : 2), p: () => { points = []; drawPoints(); },
  "+": () => zoomTo(zoom.scale * 1.4), "=": () => zoomTo(zoom.scale * 1.4), "-": () => zoomTo(zoom.scale / 1.4), t: nextTheme, "?": () => $("help").showModal(),
};
function show(name) {
  view = name;
  drawStage();
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if ($("reasons").open) {
    const reason = event.target.id !== "reason-text" && data.say[+event.key - 1];
    if (reason) { event.preventDefault(); rejectFor(reason); }
    return;
  }
  if ($("help").open || !data || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
  const action = VIEWS[event.key] ? () => show(VIEWS[event.key][0]) : ACTIONS[event.key];
  if (!action || (event.repeat && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  action();
});
{
  const stage = $("stage");
  let from = null;
  const paneAt = (event) => [...document.querySelectorAll(".pane")].find((pane) => { const box = pane.getBoundingClientRect(); return event.clientX >= box.left && event.clientX < box.right && event.clientY >= box.top && event.clientY < box.bottom; });
  const where = (event) => { const box = paneAt(event)?.firstElementChild.getBoundingClientRect(); return box ? [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] : [-1, -1]; };
  stage.addEventListener("pointerdown", (event) => { if (event.target.closest(".opacity")) return; from = { x: event.clientX, y: event.clientY, moved: false, zoom: { ...zoom } }; });
  stage.addEventListener("pointermove", (event) => {
    if (turn) { const [x, y] = where(event); turn(Math.max(-1, Math.min(1, 2 * x - 1)), Math.max(-1, Math.min(1, 2 * y - 1))); }
    if (!from) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    if (Math.hypot(dx, dy) > 4) from.moved = true;
    if (from.moved && zoom.scale > 1) {
      stage.classList.add("dragged");
      zoom = { ...from.zoom, x: from.zoom.x + dx, y: from.zoom.y + dy };
      zoomTo(zoom.scale);
    }
  });
  addEventListener("pointerup", (event) => {
    stage.classList.remove("dragged");
    const [x, y] = where(event), click = from && !from.moved && !turn && x >= 0 && x < 1 && y >= 0 && y < 1;
    from = null;
    if (click) addPoint(x, y);
  });
  stage.addEventListener("wheel", (event) => {
    if (!sample()) return;
    event.preventDefault();
    const room = (paneAt(event) || stage).getBoundingClientRect();
    zoomTo(zoom.scale * Math.exp(-event.deltaY / 400), event.clientX - room.left, event.clientY - room.top);
  }, { passive: false });
  new ResizeObserver(() => { if (data && sheets().length) { place(); drawFilm(); } }).observe(stage);
}
for (const [id, action] of [["accept", ACTIONS.a], ["reject", askReason], ["skip", ACTIONS.s], ["undo", undo], ["swapped", ACTIONS.x], ["flicker", toggleFlicker], ["fit", ACTIONS.z], ["help-open", ACTIONS["?"]]]) $(id).onclick = action;
$("opacity").oninput = fade;
$("queue").onchange = () => { $("queue").blur(); requeue(false); };
$("sort").onchange = () => { $("sort").blur(); requeue(true); };
$("search").oninput = () => requeue(true);
$("reason-cancel").onclick = () => $("reasons").close();
$("reasons").querySelector("form").onsubmit = (event) => { event.preventDefault(); rejectFor($("reason-text").value.trim()); };
$("views").append(...Object.entries(VIEWS).map(([key, [name, told]]) => {
  const button = make("button", { type: "button", onclick: () => show(name) }, `${told} `, make("kbd", { textContent: key }));
  button.dataset.view = name;
  return button;
}));
$("keys").append(...KEYS.flatMap(([keys, told]) => [make("dt", {}, ...keys.split(" ").map((key) => (key === "…" ? " … " : make("kbd", { textContent: key })))), make("dd", { textContent: told })]));

(async () => {
  [data, decided] = await Promise.all([ask("/api/samples"), ask("/api/decisions")]);
  samples = samplesOf(data);
  const names = Object.entries(data.numbers);
  $("sort").append(make("option", { value: "key", textContent: "name" }), ...names.flatMap(([name, { title }]) => [make("option", { value: name, textContent: `${title}, smallest first` }), make("option", { value: `-${name}`, textContent: `${title}, largest first` })]));
  $("reason-list").append(...data.say.map((reason, n) => make("button", { type: "button", onclick: () => rejectFor(reason) }, make("kbd", { textContent: n + 1 }), reason)));
  fillQueues();
  $("queue").onfocus = fillQueues;
  requeue(false);
  document.body.dataset.ready = "yes";
})().catch((error) => { $("stage-told").textContent = `The data set cannot be shown: ${error.message}`; });
