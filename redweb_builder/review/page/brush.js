"use strict";
// The brush: what is wrong in a label becomes unknown. It is kept beside the label at the end of every stroke.
// A stroke is of one pointer, its `pointer`: a second finger, or the palm beside a pen, paints nothing.
const MARK = [0, 200, 255, 180]; // red, green, blue, opacity of what is marked
let saved = Promise.resolve(); // when what was marked before is on the disk: a later stroke must not be overtaken
const brush = { on: false, erases: false, radius: 14, pointer: null, last: null, key: null, wrong: null };

async function loadMarks() {
  const pair = sample();
  if (!pair || !labelled(pair)) return;
  if (brush.key !== pair.key) {
    await saved;
    const { runs } = await ask(`/api/unknown/${enc(pair.key)}`).catch((error) => ({ runs: error }));
    if (sample() !== pair) return;
    if (runs instanceof Error) {
      say(`Nothing can be marked: ${runs.message}`, true); // a stroke would take the place of what was marked before
      return;
    }
    if (brush.key !== pair.key) take(pair, runs); // an answer that comes late ends no stroke
  }
  drawMarks();
}
function take(pair, runs) {
  brush.wrong = new Uint8Array(pair.width * pair.height);
  let start = 0;
  runs.forEach((run, at) => {
    if (at % 2) brush.wrong.fill(1, start, start + run);
    start += run;
  });
  brush.key = pair.key;
}
function drawMarks() {
  const pair = sample();
  for (const old of document.querySelectorAll(".marked")) old.remove();
  if (!pair || brush.key !== pair.key || view === "strip" || !(brush.on || brush.wrong.some(Boolean))) return;
  const picture = new ImageData(pair.width, pair.height);
  brush.wrong.forEach((wrong, at) => wrong && picture.data.set(MARK, 4 * at));
  for (const sheet of sheets()) {
    const canvas = make("canvas", { className: "marked", width: pair.width, height: pair.height });
    canvas.getContext("2d").putImageData(picture, 0, 0);
    sheet.append(canvas);
  }
}
function paint(event) {
  const pair = sample();
  const sheet = [...sheets()].find((candidate) => {
    const box = candidate.getBoundingClientRect();
    return event.clientX >= box.left && event.clientX < box.right && event.clientY >= box.top && event.clientY < box.bottom;
  });
  if (!sheet || brush.key !== pair.key) return false;
  const box = sheet.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  const to = { sheet, x: Math.floor(x * pair.width), y: Math.floor(y * pair.height) };
  const from = brush.last?.sheet === sheet ? brush.last : to; // fast strokes come in few points
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / (brush.radius / 2)));
  for (let step = 0; step <= steps; step++) {
    const share = step / steps;
    dab(pair, Math.round(from.x + share * (to.x - from.x)), Math.round(from.y + share * (to.y - from.y)));
  }
  brush.last = to;
  drawMarks();
  return true;
}
function dab(pair, px, py) {
  for (let row = Math.max(0, py - brush.radius); row <= Math.min(pair.height - 1, py + brush.radius); row++) {
    const half = Math.floor(Math.sqrt(brush.radius ** 2 - (row - py) ** 2));
    const [from, to] = [Math.max(0, px - half), Math.min(pair.width, px + half + 1)];
    if (from < to) brush.wrong.fill(brush.erases ? 0 : 1, row * pair.width + from, row * pair.width + to);
  }
}
function runsOf(wrong) {
  const runs = [];
  let value = 0,
    length = 0;
  for (const here of wrong) {
    if (here !== value) {
      runs.push(length);
      [value, length] = [here, 0];
    }
    length++;
  }
  return [...runs, length];
}
async function keepMarks(key, runs) {
  try {
    const { share } = await ask(`/api/unknown/${enc(key)}`, { runs });
    if (sample()?.key === key)
      say(share ? `${(100 * share).toFixed(1)} % of the picture are marked as unknown.` : "Nothing is marked.");
  } catch (error) {
    say(`Not saved, the marks in ${key}: ${error.message.replace(/^not saved: /, "")}`, true);
  }
}
function endStroke() {
  if (brush.pointer === null) return;
  brush.pointer = null;
  const [key, runs] = [brush.key, runsOf(brush.wrong)];
  saved = saved.then(() => keepMarks(key, runs));
}
function toggleBrush() {
  brush.on = !brush.on;
  $("brush").setAttribute("aria-pressed", brush.on);
  $("brush-tools").hidden = !brush.on;
  $("stage").classList.toggle("brushed", brush.on);
  if (brush.on && ["strip", "parallax"].includes(view)) show("depth");
  else loadMarks();
}
$("stage").addEventListener(
  "pointerdown",
  (event) => {
    if (!brush.on || event.button || event.target.closest("label")) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    if (brush.pointer !== null) return;
    brush.last = null;
    if (!paint(event)) return;
    brush.pointer = event.pointerId;
    $("stage").setPointerCapture(event.pointerId);
  },
  true,
);
$("stage").addEventListener(
  "pointermove",
  (event) => {
    if (event.pointerId !== brush.pointer) return;
    event.stopImmediatePropagation();
    paint(event);
  },
  true,
);
for (const end of ["pointerup", "pointercancel"])
  addEventListener(end, (event) => event.pointerId === brush.pointer && endStroke());
addEventListener("pagehide", endStroke);
$("brush").onclick = toggleBrush;
$("brush-size").oninput = () => {
  brush.radius = +$("brush-size").value;
};
$("brush-erase").onchange = () => {
  brush.erases = $("brush-erase").checked;
};
