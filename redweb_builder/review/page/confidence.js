"use strict";
// The slider of the least confidence: what an export or a training with that limit would still have of the label.
const OF_LABEL = ["depth", "mask", "confidence"]; // pictures on which it is shown
const HIDDEN = [
  [88, 104, 120],
  [120, 138, 156],
]; // the checker of unknown pixels, as in colour.py
const CELL = 4; // px of it
let least = 0;
let loaded = { key: null, values: null }; // of one label: width x height numbers, 0 to 255

async function valuesOf(pair) {
  if (loaded.key === pair.key) return loaded.values;
  const grey = make("img", { src: source("confidence-values", pair) });
  await grey.decode();
  const paper = make("canvas", { width: pair.width, height: pair.height }).getContext("2d", {
    willReadFrequently: true,
  });
  paper.drawImage(grey, 0, 0);
  const pixels = paper.getImageData(0, 0, pair.width, pair.height).data;
  loaded = { key: pair.key, values: Uint8Array.from({ length: pair.width * pair.height }, (_, at) => pixels[4 * at]) };
  return loaded.values;
}
// A checker over the pixels below the limit, and how many are left.
async function hideUnsure() {
  const pair = sample();
  for (const old of document.querySelectorAll(".unsure")) old.remove();
  $("least-text").textContent = least ? `${least}` : "off";
  if (!least || !pair || !labelled(pair)) return;
  const values = await valuesOf(pair).catch(() => null);
  if (!values || sample() !== pair) return;
  const { checker, left } = checkerOver(values, pair.width, pair.height);
  $("least-text").textContent = `${least}: ${Math.round((100 * left) / values.length)} % of the pixels stay`;
  for (const old of document.querySelectorAll(".unsure")) old.remove(); // of a call that was overtaken
  for (const sheet of sheets()) {
    if (![...sheet.children].some((child) => OF_LABEL.includes(child.dataset.kind))) continue;
    const canvas = make("canvas", { className: "unsure", width: pair.width, height: pair.height });
    canvas.getContext("2d").putImageData(checker, 0, 0);
    sheet.append(canvas);
  }
}
function checkerOver(values, width, height) {
  const checker = new ImageData(width, height);
  let left = 0;
  for (let at = 0; at < values.length; at++) {
    if (values[at] >= least) left++;
    else {
      const cell = Math.floor((at % width) / CELL) + Math.floor(at / width / CELL);
      checker.data.set([...HIDDEN[cell % 2], 255], 4 * at);
    }
  }
  return { checker, left };
}
