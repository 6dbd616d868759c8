/* The player. */
const view = {
  number: 0,
  at: 0,
  only: new Set(),
  masks: true,
  timer: null,
  cursors: [],
  ticket: 0,
};
function drawPlots() {
  const sequence = page.sequences[view.number];
  const seek = (frame) => {
    pause();
    goNear(frame);
  };
  view.cursors = ["j", "f"].map((measure) =>
    plot($(`plot-${measure}`), sequence, measure, {
      name: measure.toUpperCase(),
      only: view.only,
      paint,
      seek,
    }),
  );
  moveCursors();
}
const frameNow = () => page.sequences[view.number].shown[view.at];
const moveCursors = () => view.cursors.forEach((move) => move(frameNow()));
function explainMarks() {
  const meaning = {
    given: "mask given",
    kept: "written to memory and kept",
    gone: "written, dropped later",
    drop: "dropped here",
  };
  const kinds = new Set(marksOf(page.sequences[view.number]).map(([kind]) => kind));
  $("marks").replaceChildren(
    ...Object.keys(meaning)
      .filter((kind) => kinds.has(kind))
      .map((kind) =>
        el(
          "span",
          {},
          svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, MARKS[kind](6, 6)),
          meaning[kind],
        ),
      ),
  );
}
function openSequence(number, frame = null, object = null) {
  pause();
  const sequence = page.sequences[number];
  if (number !== view.number || object !== null)
    view.only = new Set(object === null ? [] : [object]);
  view.number = number;
  $("viewer-title").textContent = sequence.name;
  $("sequence").value = number;
  $("slider").max = sequence.shown.length - 1;
  $("play").disabled = $("slider").disabled = sequence.shown.length < 2;
  $("objects").replaceChildren(...sequence.objects.map(chip));
  strip(
    $("worst-here"),
    sequence.worst.map((each) => [number, each]),
    captionHere,
  );
  explainMarks();
  showAttention(number);
  view.at = 0;
  drawPlots();
  goNear(frame ?? sequence.worst[0] ?? 0);
  mark();
  if (view.ready) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    $("viewer").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    $("stage").focus({ preventScroll: true });
  }
  view.ready = true;
}
function chip(object) {
  const button = paint(
    el(
      "button",
      {
        type: "button",
        "aria-pressed": view.only.has(object.id),
        onclick: () => {
          if (!view.only.delete(object.id)) view.only.add(object.id);
          button.setAttribute("aria-pressed", view.only.has(object.id));
          drawPlots();
        },
      },
      swatch(object.id),
      object.category || null,
      el("i", {}, "J"),
      el("em"),
      el("i", {}, "F"),
      el("em"),
    ),
    object.id,
  );
  return button;
}
function goNear(frame) {
  const { shown } = page.sequences[view.number];
  let best = 0;
  shown.forEach((each, i) => {
    if (Math.abs(each - frame) < Math.abs(shown[best] - frame)) best = i;
  });
  return go(best);
}
async function go(at) {
  const sequence = page.sequences[view.number];
  view.at = Math.max(0, Math.min(at, sequence.shown.length - 1));
  const [number, frame, ticket] = [view.number, frameNow(), ++view.ticket];
  const where = `frame ${frame}${alias(sequence.names, frame)} of ${sequence.names.length}`;
  $("slider").value = view.at;
  $("slider").setAttribute("aria-valuetext", where);
  $("readout").textContent = `${where}, J ${percent(sequence.mean_j[frame])}`;
  sequence.objects.forEach((object, i) => {
    const [j, f] = $("objects").children[i].querySelectorAll("em");
    [j.textContent, f.textContent] = [percent(object.j[frame]), percent(object.f[frame])];
  });
  moveCursors();
  mark();
  const [picture, truth, prediction, problem] = await pictures(number, frame);
  if (ticket !== view.ticket) return; // another frame was asked for meanwhile
  const panels = [
    ["truth", truth, "no true mask of this frame"],
    ["prediction", prediction, problem ? `the mask ${problem}` : "no mask of this frame is wanted"],
  ];
  for (const [id, mask, without] of panels) {
    draw($(id), picture, view.masks ? mask : null);
    $(id).setAttribute("aria-label", `${id}, ${where}`);
    $(id).dataset.frame = frame;
    $(id).nextElementSibling.hidden = mask !== null;
    $(id).nextElementSibling.textContent = without;
  }
  const ahead = sequence.shown[view.at + 1];
  if (known(ahead)) pictures(number, ahead);
}
function pause() {
  clearTimeout(view.timer);
  view.timer = null;
  $("play").textContent = "Play";
}
function play() {
  if (view.timer !== null) return pause();
  const { shown } = page.sequences[view.number];
  if (view.at === shown.length - 1) go(0);
  $("play").textContent = "Pause";
  const next = async () => {
    if (view.at === shown.length - 1) return pause();
    const gap = shown[view.at + 1] - shown[view.at];
    await go(view.at + 1);
    if (view.timer !== null) view.timer = setTimeout(next, Math.min(80 * gap, 400));
  };
  view.timer = setTimeout(next, 80);
}
function toggleMasks() {
  view.masks = !view.masks;
  $("masks").setAttribute("aria-pressed", view.masks);
  go(view.at);
}
function step(by) {
  const all = page.sequences.length;
  openSequence((view.number + by + all) % all);
}
function mark() {
  const current = (node, is) =>
    is ? node.setAttribute("aria-current", "true") : node.removeAttribute("aria-current");
  for (const row of $("table").tBodies[0].rows)
    current(row, Number(row.dataset.number) === view.number);
  const place = `${view.number}/${frameNow()}`;
  for (const button of document.querySelectorAll("[data-place]"))
    current(button, button.dataset.place === place);
}
const move = (to) => {
  pause();
  go(to);
};
const KEYS = {
  ArrowLeft: (big) => move(view.at - (big ? 10 : 1)),
  ArrowRight: (big) => move(view.at + (big ? 10 : 1)),
  Home: () => move(0),
  End: () => move(Infinity),
  " ": play,
  m: toggleMasks,
  "[": () => step(-1),
  "]": () => step(1),
};
document.addEventListener("keydown", (event) => {
  const { target } = event;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!KEYS[key] || event.ctrlKey || event.metaKey || event.altKey) return;
  // Elsewhere on the page keys do what they always do, but for the arrows where nothing has focus.
  const idle = target === document.body && key.startsWith("Arrow");
  if (!idle && !$("viewer").contains(target)) return;
  if (target.matches("select") || (key === " " && target.matches("button"))) return;
  event.preventDefault();
  KEYS[key](event.shiftKey);
});

head();
chooseRows();
page.sequences.forEach((sequence, number) =>
  $("sequence").append(el("option", { value: number }, sequence.name)),
);
$("worst-section").hidden = page.sequences.length < 2 || !page.worst.length;
strip($("worst"), page.worst, captionAll);
made();
if (page.sequences.length) {
  openSequence(0);
  fillTable();
  new ResizeObserver(() => drawPlots()).observe($("plot-j"));
}
$("sequence").addEventListener("change", (event) => openSequence(Number(event.target.value)));
$("before").addEventListener("click", () => step(-1));
$("after").addEventListener("click", () => step(1));
$("slider").addEventListener("input", (event) => move(Number(event.target.value)));
$("play").addEventListener("click", play);
$("masks").addEventListener("click", toggleMasks);
