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
};
// The pictures of a view: panes side by side, in each pane pictures on top of each other. Others show one picture.
const PANES = { both: [["photo"], ["depth"]], overlay: [["photo", "depth"]], parallax: [[]] };
const FLICKER_MS = 500; // one change; three flashes a second and more can harm
let view = innerWidth > 900 ? "both" : "depth";
let flicker = null;
let zoom = { scale: 1, x: 0, y: 0 };
let points = [];
let turn = null; // turns the parallax view where that is shown

function source(kind, one = sample()) {
  if (kind === "photo") return `/photo/${enc(one.key)}`;
  if (kind === "strip") return `/preview/${enc(one.key)}`;
  return `/picture/${kind}/${enc(one.key)}`;
}
function image(kind) {
  const one = sample(),
    picture = make("img", { alt: "", draggable: false, src: source(kind) });
  picture.onerror = async () => {
    const why = await ask(picture.getAttribute("src")).then(
      () => "",
      (error) => error.message,
    );
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
    $("stage-told").textContent = one
      ? `No label was made: ${one.detail || one.reason}`
      : "No sample is like that. Show others.";
    return;
  }
  fillPanes(view === "strip" ? [steps(one)] : (PANES[view] || [[view]]).map((kinds) => kinds.map(image)));
  if (view === "overlay") fade();
  if (view === "parallax") drawParallax(one);
  drawPoints();
}
function steps(one) {
  return data.strip.columns.map((name, n) => {
    const box = crop(data.strip, one, n, source("strip")),
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
  $("stage-told").textContent = turn
    ? "Move the pointer to look around"
    : "This browser draws no WebGL; the other views do without";
  sheets()[0].replaceChildren(canvas);
  turn?.(0, 0);
}
function frame() {
  const one = sample(),
    room = document.querySelector(".pane").getBoundingClientRect();
  const [wide, high] = view === "strip" ? [3 * one.width, 2 * one.height] : [one.width, one.height];
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
}
function zoomTo(scale, x, y) {
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
  const swap = () => {
    right.hidden = !right.hidden;
    $("stage-told").textContent = right.hidden ? "left" : "right";
  };
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
  const told = await ask(`/api/order/${enc(one.key)}?ax=${a.x}&ay=${a.y}&bx=${b.x}&by=${b.y}`).catch((error) => ({
    told: error.message,
    points: [],
  }));
  if (sample() !== one || points[0] !== a) return;
  const of = ({ basis, disparity }) => (disparity === null ? basis : `${disparity.toFixed(2)} px, ${basis}`);
  $("order").replaceChildren(
    make("b", { textContent: `${told.told}. ` }),
    make("span", {
      className: "soft",
      textContent: told.points.map((point, n) => `${"AB"[n]}: ${of(point)}`).join("; "),
    }),
  );
}
function drawPoints() {
  const one = sample();
  for (const old of document.querySelectorAll(".point")) old.remove();
  $("order").textContent =
    points.length === 1
      ? "A is set. Click another place."
      : points.length
        ? ""
        : "Click two places to be told which is nearer.";
  for (const sheet of view === "strip" ? [] : sheets())
    points.forEach(({ x, y }, n) => {
      const mark = make("div", { className: "point" });
      mark.dataset.name = "AB"[n];
      mark.style.left = `${(100 * (x + 0.5)) / one.width}%`;
      mark.style.top = `${(100 * (y + 0.5)) / one.height}%`;
      sheet.append(mark);
    });
}
