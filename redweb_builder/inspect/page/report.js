// The gallery of the report.
const data = JSON.parse(document.getElementById("data").textContent);
const samples = samplesOf(data);
const NUMBERS = Object.keys(data.numbers);
const PAGE = 40;
const PICTURES = {
  photo: "photograph",
  flow: "optical flow",
  raw: "raw disparity",
  regions: "regions",
  depth: "refined depth",
  mask: "mask",
  confidence: "confidence",
};
const STORED = { photo: "Imgs", depth: "RDs", mask: "masks", confidence: "confidence" };
const TILE = { photo: 0, flow: 1, raw: 2, regions: 3, depth: 4, mask: 5 };
const SINGLE = data.single; // the pictures are in this file
const state = { status: "all", reason: "", text: "", sort: "attention", descending: false, ranges: new Map() };
let shown = samples,
  drawn = 0,
  open = -1;

const file = (sample, folder, ending) => `${sample.home}${folder}/${encodeURIComponent(sample.key)}.${ending}`;

// ---- which samples, in which order
function passes(sample) {
  const { status } = state;
  if (["borderline", "disputed"].includes(status) ? !sample[status] : status !== "all" && sample.status !== status)
    return false;
  if (state.reason && sample.reason !== state.reason) return false;
  if (state.text && !sample.key.toLowerCase().includes(state.text)) return false;
  for (const [name, [low, high]] of state.ranges) {
    if (sample[name] === null || sample[name] < low || sample[name] > high) return false;
  }
  return true;
}
function compare(a, b) {
  const value = a[state.sort],
    other = b[state.sort];
  if (value === null || other === null) return (value === null) - (other === null) || (a.key < b.key ? -1 : 1);
  const order = value < other ? -1 : value > other ? 1 : 0;
  return (state.descending ? -order : order) || (a.key < b.key ? -1 : 1);
}
// What wants a look first: disputed; of a curated set, what an unseen network contradicts most; borderline; then the kept
// ones from the worst to the best, then the rejected ones.
for (const sample of samples) {
  const kept = sample.status === "kept";
  const curated = kept && (sample.cross_agreement ?? null) !== null;
  const rank = sample.disputed ? 0 : curated ? 1 : sample.borderline ? 2 : kept ? 3 : 4;
  sample.attention = rank + Math.min(0.99, Math.max(0, (curated ? sample.cross_agreement : sample.quality) ?? 0));
}
function refresh() {
  shown = samples.filter(passes).sort(compare);
  drawn = 0;
  $("gallery").replaceChildren();
  $("shown").textContent =
    shown.length === samples.length ? `All ${samples.length} pairs` : `${shown.length} of ${samples.length} pairs`;
  for (const button of document.querySelectorAll("[data-status]"))
    button.setAttribute("aria-pressed", button.dataset.status === state.status);
  for (const button of document.querySelectorAll("[data-reason]"))
    button.setAttribute("aria-pressed", button.dataset.reason === state.reason);
  $("reason").value = state.reason;
  if (!shown.length)
    $("gallery").append(make("p", { className: "nothing", textContent: "No pair is like that. Take a filter away." }));
  more();
}
function more() {
  $("gallery").append(...shown.slice(drawn, drawn + PAGE).map((sample, at) => card(sample, drawn + at)));
  drawn = Math.min(drawn + PAGE, shown.length);
  const { top } = $("sentinel").getBoundingClientRect(); // above the window nothing is wanted: it moves along, to no end
  if (drawn < shown.length && top >= 0 && top < innerHeight + 600) more();
}

// ---- pictures: a tile of a strip, cut to the picture that lies in its cell; or a stored file
const preview = (sample) => sample.strip ?? `previews/${encodeURIComponent(sample.key)}.jpg`;
function status(sample) {
  const word = sample.borderline ? `${sample.status}, borderline` : sample.status;
  const mark = make(
    "span",
    { className: `status ${sample.status}` },
    icon(sample.status),
    sample.reason && sample.status === "rejected" ? sample.reason : word,
  );
  if (sample.borderline)
    mark.append(
      make("span", { className: "status borderline", title: "Within a tenth of a limit" }, icon("borderline")),
    );
  return mark;
}
function card(sample, at) {
  const kinds = $("gallery").classList.contains("strips") ? Object.keys(PICTURES) : ["photo", "depth", "confidence"];
  const tiles = make(
    "div",
    { className: "tiles" },
    ...kinds.map((kind) => make("div", { className: "tile" }, sample.home === null ? "" : tile(sample, kind))),
  );
  const picture =
    sample.home === null
      ? make("div", { className: "no-picture", textContent: data.reasons[sample.reason] || "no label was made" })
      : tiles;
  const button = make("button", { type: "button", className: "open", onclick: () => show(at) }, picture);
  button.setAttribute(
    "aria-label",
    `Look at ${sample.key}, ${sample.status}${sample.reason ? `: ${sample.reason}` : ""}`,
  );
  const names = ["agreement", "coverage", "range_px"].concat(NUMBERS.includes(state.sort) ? [state.sort] : []);
  const numbers = [...new Set(names)]
    .filter((name) => sample[name] !== null)
    .map((name) =>
      make("span", {}, `${data.numbers[name].title} `, make("b", { textContent: valueText(data, name, sample[name]) })),
    );
  return make(
    "article",
    { className: "card" },
    button,
    make(
      "div",
      { className: "caption" },
      make("span", { className: "key", textContent: sample.key, title: sample.key }),
      status(sample),
    ),
    make("div", { className: "numbers" }, ...numbers),
  );
}

// A small picture: of the strip, but for the confidence, which is none of its tiles.
function tile(sample, kind) {
  return kind === "confidence" ? stored(sample, kind) : crop(data.strip, sample, TILE[kind], preview(sample));
}
function stored(sample, kind) {
  const src = sample[kind] ?? file(sample, STORED[kind], kind === "photo" ? sample.image : "png");
  const image = make("img", { alt: "", className: kind, src, loading: "lazy" });
  image.onerror = () => notShown(image);
  return image;
}

// ---- one sample, large
function side(sample, kind) {
  if (kind === "confidence" || (kind in STORED && !SINGLE)) return stored(sample, kind);
  const box = crop(data.strip, sample, TILE[kind], preview(sample));
  box.style.width = box.style.height = "100%";
  return box;
}
function compareSides() {
  const sample = shown[open],
    frame = $("compare");
  frame.hidden = sample.home === null;
  if (sample.home === null) return;
  frame.style.setProperty("--aspect", sample.width / sample.height);
  frame.querySelector(".before").replaceChildren(side(sample, $("before").value));
  frame.querySelector(".after").replaceChildren(side(sample, $("after").value));
}
function cut() {
  $("compare").style.setProperty("--cut", `${$("cut").value}%`);
}
function about(sample) {
  const link = (text, href) =>
    make("li", {}, make("a", { href, textContent: text, target: "_blank", rel: "noopener" }));
  const links =
    sample.home === null || SINGLE
      ? []
      : [
          ["photograph", "Imgs", sample.image],
          ["label, 16 bit", "RDs", "png"],
          ["mask", "masks", "png"],
          ["confidence", "confidence", "png"],
        ].map(([text, folder, ending]) => link(text, file(sample, folder, ending)));
  if (links.length) links.push(link("strip", `previews/${encodeURIComponent(sample.key)}.jpg`));
  const eyes = sample.left === sample.right ? ["left"] : ["left", "right"];
  const sources = eyes.map((eye, at) =>
    make(
      "p",
      {},
      sample.source[at]
        ? make("a", { href: sample.source[at], textContent: sample[eye], target: "_blank", rel: "noopener" })
        : sample[eye],
    ),
  );
  return [
    status(sample),
    sample.status === "rejected" ? make("p", { textContent: data.reasons[sample.reason] || "" }) : null,
    sample.detail
      ? make("details", { className: "soft" }, make("summary", { textContent: "What was found" }), sample.detail)
      : null,
    links.length ? make("h3", { textContent: "Files" }) : null,
    links.length ? make("ul", { className: "links" }, ...links) : null,
    make("h3", { textContent: `Source, ${sample.layout}: ${sample.rule}` }),
    ...sources,
    make("h3", { textContent: "Measurements" }),
    measurements(data, sample),
  ].filter((part) => part !== null);
}
function show(at) {
  open = at;
  const sample = shown[at],
    focused = document.activeElement;
  $("dialog-title").textContent = $("dialog-title").title = sample.key;
  $("place").textContent = `${at + 1} of ${shown.length}`;
  $("previous").disabled = at === 0;
  $("next").disabled = at === shown.length - 1;
  if (focused?.disabled) (at ? $("previous") : $("next")).focus(); // the keys go on within the dialog
  $("about").replaceChildren(...about(sample));
  compareSides();
  history.replaceState(null, "", `#${encodeURIComponent(sample.key)}`); // a link to this pair
  if (!$("dialog").open) $("dialog").showModal();
}
// The pair that the address names, shown among all.
function showNamed() {
  let key = "";
  try {
    key = decodeURIComponent(location.hash.slice(1));
  } catch {
    return; // no address of ours
  }
  if (!samples.some((sample) => sample.key === key)) return;
  if (!shown.some((sample) => sample.key === key)) {
    Object.assign(state, { status: "all", reason: "", text: "" });
    state.ranges.clear();
    $("search").value = "";
    drawRanges();
    drawBrushes();
    refresh();
  }
  show(shown.findIndex((sample) => sample.key === key));
}
function step(by) {
  if (shown[open + by]) show(open + by);
}

// ---- filters on measurements, by number or by dragging across a histogram
function drawRanges() {
  $("ranges").replaceChildren(
    ...[...state.ranges].map(([name, ends]) => {
      const scale = data.numbers[name].unit === "share" ? 100 : 1;
      const box = (at, word) => {
        const input = make("input", {
          type: "number",
          step: "any",
          value: Number.isFinite(ends[at]) ? +(ends[at] * scale).toPrecision(4) : "",
          placeholder: word,
        });
        input.setAttribute("aria-label", `${data.numbers[name].title}, ${word}`);
        input.oninput = () => {
          ends[at] = input.value === "" ? (at ? Infinity : -Infinity) : input.value / scale;
          drawBrushes();
          refresh();
        };
        return input;
      };
      const remove = make("button", { type: "button", textContent: "✕", onclick: () => setRange(name, null) });
      remove.setAttribute("aria-label", `Remove the filter on ${data.numbers[name].title}`);
      const unit = { share: "%", px: "px", stops: "stops", degrees: "°", percent: "%" }[data.numbers[name].unit] || "";
      return make(
        "span",
        { className: "range" },
        data.numbers[name].title,
        box(0, "from"),
        "to",
        box(1, "to"),
        unit,
        remove,
      );
    }),
  );
}
function drawBrushes() {
  for (const figure of document.querySelectorAll(".histogram")) drawBrush(figure, state.ranges.get(figure.dataset.name));
}
function drawBrush(figure, ends) {
  const brush = figure.querySelector(".brush");
  brush.setAttribute("visibility", ends ? "visible" : "hidden");
  if (!ends) return;
  const { low, high } = figure.dataset,
    width = figure.querySelector("svg").viewBox.baseVal.width;
  const [from, to] = ends.map((end) => Math.min(width, Math.max(0, (width * (end - low)) / (high - low))));
  brush.setAttribute("x", from);
  brush.setAttribute("width", Math.max(0, to - from));
}
function setRange(name, ends) {
  if (ends) state.ranges.set(name, ends);
  else state.ranges.delete(name);
  drawRanges();
  drawBrushes();
  refresh();
}
for (const figure of document.querySelectorAll(".histogram")) {
  const svg = figure.querySelector("svg"),
    low = +figure.dataset.low,
    high = +figure.dataset.high;
  let from = null;
  const value = (event) => {
    const box = svg.getBoundingClientRect(),
      share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return share === 0 ? -Infinity : share === 1 ? Infinity : low + share * (high - low);
  };
  svg.onpointerdown = (event) => {
    from = value(event);
    svg.setPointerCapture(event.pointerId);
  };
  svg.onpointermove = (event) => {
    if (from !== null && value(event) !== from)
      drawBrush(
        figure,
        [from, value(event)].sort((a, b) => a - b),
      );
  };
  svg.onpointerup = (event) => {
    const same = value(event) === from;
    setRange(figure.dataset.name, same ? null : [from, value(event)].sort((a, b) => a - b));
    from = null;
  };
  svg.onpointercancel = () => {
    from = null; // a finger that scrolls the page chooses nothing
    drawBrushes();
  };
}

// ---- the page comes alive
const counts = { all: samples.length };
for (const name of ["borderline", "disputed"]) counts[name] = samples.filter((sample) => sample[name]).length;
for (const sample of samples) counts[sample.status] = (counts[sample.status] || 0) + 1;
for (const button of document.querySelectorAll("[data-status]")) {
  button.querySelector("small").textContent = counts[button.dataset.status] || 0;
  button.onclick = () => {
    state.status = button.dataset.status;
    refresh();
  };
}
for (const button of document.querySelectorAll("[data-reason]")) {
  button.onclick = () => {
    state.reason = state.reason === button.dataset.reason ? "" : button.dataset.reason;
    state.status = "all";
    refresh();
    $("pairs").scrollIntoView();
  };
}
const reasons = [
  ...new Set(
    samples
      .filter((sample) => sample.status === "rejected")
      .map((sample) => sample.reason)
      .filter(Boolean),
  ),
].sort();
$("reason").append(...reasons.map((reason) => make("option", { value: reason, textContent: reason })));
$("sort").append(
  make("option", { value: "attention", textContent: "wants a look" }),
  make("option", { value: "key", textContent: "name" }),
  ...NUMBERS.map((name) => make("option", { value: name, textContent: data.numbers[name].title })),
);
$("add-range").append(...NUMBERS.map((name) => make("option", { value: name, textContent: data.numbers[name].title })));
for (const [id, first] of [
  ["before", "photo"],
  ["after", "depth"],
]) {
  $(id).append(
    ...Object.entries(PICTURES).map(([kind, text]) =>
      make("option", { value: kind, textContent: text, selected: kind === first }),
    ),
  );
  $(id).onchange = compareSides;
}
$("reason").onchange = () => {
  state.reason = $("reason").value;
  refresh();
};
$("sort").onchange = () => {
  state.sort = $("sort").value;
  refresh();
};
$("direction").onclick = () => {
  state.descending = !state.descending;
  $("direction").textContent = state.descending ? "↓" : "↑";
  $("direction").setAttribute("aria-label", `Order: ${state.descending ? "largest" : "smallest"} first`);
  refresh();
};
$("add-range").onchange = () => {
  const name = $("add-range").value;
  $("add-range").value = "";
  if (name && !state.ranges.has(name)) setRange(name, [-Infinity, Infinity]);
  $("ranges").lastElementChild?.querySelector("input").focus();
};
$("search").oninput = () => {
  state.text = $("search").value.trim().toLowerCase();
  refresh();
};
$("strips").onclick = () => {
  const on = $("gallery").classList.toggle("strips");
  $("strips").setAttribute("aria-pressed", on);
  refresh();
};
$("cut").oninput = cut;
$("previous").onclick = () => step(-1);
$("next").onclick = () => step(1);
$("close").onclick = () => $("dialog").close();
$("dialog").onclick = (event) => {
  if (event.target === $("dialog")) $("dialog").close();
};
$("dialog").onclose = () => history.replaceState(null, "", location.pathname + location.search);
addEventListener("hashchange", showNamed);
$("dialog").onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const onSlider = event.target.id === "cut";
  if (event.key === "j" || (event.key === "ArrowRight" && !onSlider)) step(1);
  else if (event.key === "k" || (event.key === "ArrowLeft" && !onSlider)) step(-1);
  else return;
  event.preventDefault();
};
new IntersectionObserver(
  (entries) => {
    if (entries.some((entry) => entry.isIntersecting) && drawn < shown.length) more();
  },
  { rootMargin: "0px 0px 600px" },
).observe($("sentinel"));

addEventListener("beforeprint", () => {
  while (drawn < shown.length) more(); // on paper nothing is scrolled to
});

cut();
refresh();
showNamed();
