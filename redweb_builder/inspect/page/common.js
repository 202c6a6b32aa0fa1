"use strict";
// What the report and the review page share. Whatever comes from a data set enters a page as text, never as markup.
const $ = (id) => document.getElementById(id);
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}
function samplesOf(data) {
  return data.rows.map((row) => {
    const sample = {};
    for (let at = 0; at < row.length; at++) sample[data.columns[at]] = row[at];
    return sample;
  });
}
function valueText(data, name, value) {
  if (value === null) return "–";
  const unit = data.numbers[name].unit;
  if (unit === "share") return `${+(100 * value).toPrecision(3)} %`;
  return `${+value.toPrecision(3)}${{ px: " px", stops: " stops", degrees: "°", percent: " %" }[unit] || ""}`;
}
// In the place of a picture whose file is damaged or missing.
function notShown(image) {
  image.replaceWith(make("span", { className: "not-shown", textContent: "cannot be shown: damaged or missing" }));
}
// One of the tiles of a strip, cut to the picture that lies in its cell.
function crop(strip, sample, column, source) {
  const scale = Math.min(strip.width / sample.width, strip.height / sample.height);
  const width = Math.max(1, Math.round(sample.width * scale)),
    height = Math.max(1, Math.round(sample.height * scale));
  const image = make("img", { alt: "", loading: "lazy", decoding: "async", draggable: false, src: source });
  const total = strip.columns.length * (strip.width + strip.gap) - strip.gap;
  image.style.width = `${(100 * total) / width}%`;
  image.style.left = `${(-100 * (column * (strip.width + strip.gap) + Math.floor((strip.width - width) / 2))) / width}%`;
  image.style.top = `${(-100 * Math.floor((strip.height - height) / 2)) / height}%`;
  const box = make("div", { className: "crop" }, image);
  image.onerror = () => notShown(image);
  box.style.width = `${(100 * width) / strip.width}%`;
  box.style.height = `${(100 * height) / strip.height}%`;
  return box;
}
// A table of what was measured, the limits below; what misses its limit is marked with a cross.
function measurements(data, sample) {
  const fails = (name) =>
    name in data.limits &&
    (data.limits[name].least ? sample[name] < data.limits[name].value : sample[name] > data.limits[name].value);
  const rows = Object.keys(data.numbers)
    .filter((name) => sample[name] !== null)
    .map((name) =>
      make(
        "tr",
        { className: fails(name) ? "fails" : "" },
        make(
          "td",
          {},
          data.numbers[name].title,
          name in data.limits ? make("small", { textContent: data.limits[name].text }) : "",
        ),
        make("td", { textContent: valueText(data, name, sample[name]) }),
      ),
    );
  return make("table", {}, make("tbody", {}, ...rows));
}
const THEMES = ["system", "light", "dark"];
function theme(name) {
  document.documentElement.dataset.theme = name;
  document.querySelector(".theme").textContent = `Theme: ${name}`;
  try {
    localStorage.setItem("redweb-theme", name);
  } catch {
    /* a browser that keeps nothing for files */
  }
}
function nextTheme() {
  theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
}
{
  let remembered = null;
  try {
    remembered = localStorage.getItem("redweb-theme");
  } catch {
    /* the same */
  }
  theme(THEMES.includes(remembered) ? remembered : "system");
  document.querySelector(".theme").onclick = nextTheme;
}
