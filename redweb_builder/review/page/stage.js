"use strict";
// The stage: the pictures of one sample, zoomed, flickering, one over the other; and two points on them.
const VIEWS = {
  1: ["both", "Both"],
  2: ["photo", "Photo"],
  3: ["depth", "Depth"],
  4: ["overlay", "Overlay"],
  5: ["mask", "Mask"],
  6: ["right", "Right"],
  7: ["strip", "Steps"],
  8: ["parallax", "Parallax"],
  9: ["confidence", "Confidence"],
};
// The pictures of a view: panes side by side, in each pane pictures on top of each other. Others show one picture.
const PANES = { both: [["photo"], ["depth"]], overlay: [["photo", "depth"]], parallax: [[]] };
const FLICKER_MS = 500; // one change; three flashes a second and more can harm
let view = innerWidth > 900 ? "both" : "depth";
let flicker = null;
let zoom = { scale: 1, x: 0, y: 0 };
let points = [];
let turn = null; // turns the parallax view where that is shown

function source(kind, pair = sample()) {
  if (kind === "photo") return `/photo/${enc(pair.key)}`;
  if (kind === "strip") return `/preview/${enc(pair.key)}`;
  return `/picture/${kind}/${enc(pair.key)}`;
}
function image(kind) {
  const picture = make("img", { alt: "", draggable: false, src: source(kind) });
  picture.dataset.kind = kind;
  picture.onerror = async () => {
    const why = await ask(picture.getAttribute("src")).then(
      () => "",
      (error) => error.message,
    );
    if (picture.isConnected) $("stage-status").textContent = why || "The picture cannot be shown"; // else another is shown
    picture.hidden = true;
  };
  return picture;
}
function drawStage() {
  stopFlicker();
  turn = null;
  $("stage-status").textContent = "";
  const pair = sample();
  $("opacity-label").hidden = view !== "overlay";
  $("legend-confidence").hidden = view !== "confidence";
  $("legend-depth").hidden = view === "confidence";
  for (const button of $("views").children) button.setAttribute("aria-pressed", button.dataset.view === view);
  if (!pair || !labelled(pair)) {
    $("panes").replaceChildren();
    $("stage-status").textContent = pair
      ? `No label was made: ${pair.detail || pair.reason}`
      : "No sample is like that. Show others.";
    return;
  }
  fillPanes(view === "strip" ? [steps(pair)] : (PANES[view] || [[view]]).map((kinds) => kinds.map(image)));
  if (view === "overlay") fade();
  if (view === "parallax") drawParallax(pair);
  drawPoints();
  hideUnsure();
  loadMarks();
}
function steps(pair) {
  return data.strip.columns.map((name, n) => {
    const box = crop(data.strip, pair, n, source("strip")),
      figure = make("figure", {}, box, make("figcaption", { textContent: name }));
    box.style.width = box.style.height = "100%";
    figure.style.left = `${(100 * (n % 3)) / 3}%`;
    figure.style.top = `${n < 3 ? 0 : 50}%`;
    return figure;
  });
}
function fillPanes(pictures) {
  $("panes").replaceChildren(
    ...pictures.map((layers) =>
      make(
        "div",
        { className: "pane" },
        make("div", { className: view === "strip" ? "sheet steps" : "sheet" }, ...layers),
      ),
    ),
  );
  place();
}
const sheets = () => [...document.querySelectorAll(".sheet")];
function fade() {
  const over = document.querySelectorAll(".sheet img")[1];
  if (view === "overlay" && over) over.style.opacity = $("opacity").value / 100;
}
async function drawParallax(pair) {
  const canvas = make("canvas", { width: pair.width, height: pair.height });
  const [photo, near] = ["photo", "parallax"].map((kind) => make("img", { src: source(kind) }));
  try {
    await Promise.all([photo.decode(), near.decode()]);
  } catch {
    if (sample() === pair) $("stage-status").textContent = "The picture cannot be read";
    return;
  }
  if (sample() !== pair || view !== "parallax") return;
  turn = parallax(canvas, photo, near);
  $("stage-status").textContent = turn
    ? "Move the pointer to see the depth"
    : "This browser draws no WebGL; the other views do without";
  sheets()[0].replaceChildren(canvas);
  turn?.(0, 0);
}
function frame() {
  const pair = sample(),
    room = document.querySelector(".pane").getBoundingClientRect();
  const [wide, high] = view === "strip" ? [3 * pair.width, 2 * pair.height] : [pair.width, pair.height];
  const fit = Math.min(room.width / wide, room.height / high);
  return {
    width: wide * fit,
    height: high * fit,
    left: (room.width - wide * fit) / 2,
    top: (room.height - high * fit) / 2,
    room,
  };
}
function place() {
  const { width, height, left, top } = frame();
  for (const sheet of sheets())
    Object.assign(sheet.style, {
      width: `${width}px`,
      height: `${height}px`,
      left: `${left}px`,
      top: `${top}px`,
      transform: `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`,
    });
  $("panes").style.setProperty("--unscale", 1 / zoom.scale);
  $("panes").style.setProperty("--aspect", width / height); // of a sheet on paper
  $("stage").classList.toggle("zoomed", zoom.scale > 1);
}
function zoomTo(scale, x, y) {
  if (!sheets().length) return;
  const { left, top, width, height, room } = frame();
  const [px, py] = [(x ?? room.width / 2) - left, (y ?? room.height / 2) - top];
  scale = Math.min(16, Math.max(1, scale));
  zoom = { scale, x: px - ((px - zoom.x) * scale) / zoom.scale, y: py - ((py - zoom.y) * scale) / zoom.scale };
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
  if (flicker) {
    drawStage();
    return;
  }
  const pair = sample();
  if (!pair || !labelled(pair)) return;
  drawStage();
  const [left, right] = [image("photo"), image("right")];
  fillPanes([[left, right]]);
  $("stage-status").textContent = "Reading the right eye…";
  $("flicker").setAttribute("aria-pressed", "true");
  try {
    await Promise.all([left.decode(), right.decode()]);
  } catch {
    $("flicker").setAttribute("aria-pressed", "false");
    return; // image() says why
  }
  if (sample() !== pair || $("flicker").getAttribute("aria-pressed") === "false") return;
  const swap = () => {
    right.hidden = !right.hidden;
    $("stage-status").textContent = right.hidden ? "left" : "right";
  };
  swap();
  flicker = setInterval(swap, FLICKER_MS);
}

// ---- two points
async function addPoint(x, y) {
  const pair = sample();
  if (!pair || !labelled(pair) || view === "strip") return;
  if (points.length === 2) points = [];
  points.push({ x: Math.floor(x * pair.width), y: Math.floor(y * pair.height) });
  drawPoints();
  if (points.length < 2) return;
  const [a, b] = points;
  const answer = await ask(`/api/order/${enc(pair.key)}?ax=${a.x}&ay=${a.y}&bx=${b.x}&by=${b.y}`).catch((error) => ({
    text: error.message,
    points: [],
  }));
  if (sample() !== pair || points[0] !== a) return;
  const of = ({ basis, disparity }) => (disparity === null ? basis : `${disparity.toFixed(2)} px, ${basis}`);
  $("order").replaceChildren(
    make("b", { textContent: `${answer.text}. ` }),
    make("span", {
      className: "soft",
      textContent: answer.points.map((point, n) => `${"AB"[n]}: ${of(point)}`).join("; "),
    }),
  );
}
function drawPoints() {
  const pair = sample();
  for (const old of document.querySelectorAll(".point")) old.remove();
  $("order").textContent =
    points.length === 1
      ? "A is set. Click another place."
      : points.length
        ? ""
        : "Click two places to read which is nearer.";
  for (const sheet of view === "strip" ? [] : sheets())
    points.forEach(({ x, y }, n) => {
      const mark = make("div", { className: "point" });
      mark.dataset.name = "AB"[n];
      mark.style.left = `${(100 * (x + 0.5)) / pair.width}%`;
      mark.style.top = `${(100 * (y + 0.5)) / pair.height}%`;
      sheet.append(mark);
    });
}
