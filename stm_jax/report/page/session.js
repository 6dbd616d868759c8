
/* The player of a video of which no truth is known. */
const video = page.sequences[0];
const measures = ["certainty", "area"];
const most = Math.max(...video.objects.flatMap((object) => object.certainty.filter(known)), 0.01);
for (const object of video.objects) {
  object.compared = object.certainty.map((value) => (known(value) ? value / most : null));
}
const view = { at: 0, masks: true, only: new Set(), timer: null, ticket: 0, cursors: [] };
const isGiven = new Set(video.given);
const least = (frame) => {
  const found = video.objects.map((object) => object.certainty[frame]).filter(known);
  return found.length ? Math.min(...found) : null;
};
const frameNow = () => video.shown[view.at];
const nearest = (frame) =>
  video.shown.reduce((best, each, i) => (Math.abs(each - frame) < Math.abs(video.shown[best] - frame) ? i : best), 0);

function drawPlots() {
  const seek = (frame) => go(nearest(frame));
  view.cursors = ["compared", "area"].map((measure) =>
    plot($(`plot-${measure}`), video, measure, { name: measure, only: view.only, paint, seek }),
  );
  view.cursors.forEach((move) => move(frameNow()));
}
async function go(at, isPlayed = false) {
  if (!isPlayed) pause();
  view.at = Math.max(0, Math.min(at, video.shown.length - 1));
  const [frame, ticket] = [frameNow(), ++view.ticket];
  const what = isGiven.has(frame) ? "given" : `certainty ${percent(least(frame))}`;
  $("slider").value = view.at;
  $("readout").textContent = `frame ${frame}${alias(video.names, frame)} of ${video.names.length}, ${what}`;
  video.objects.forEach((object, i) => {
    const values = $("objects").children[i].querySelectorAll("em");
    measures.forEach((measure, which) => (values[which].textContent = percent(object[measure][frame])));
  });
  view.cursors.forEach((move) => move(frame));
  const [picture, , mask] = await pictures(0, frame);
  if (ticket !== view.ticket) return;
  draw($("prediction"), picture, view.masks ? mask : null);
  $("prediction").dataset.frame = frame;
}
function pause() {
  clearTimeout(view.timer);
  view.timer = null;
  $("play").textContent = "Play";
}
function play() {
  if (view.timer !== null) return pause();
  const next = async () => {
    await go(view.at === video.shown.length - 1 ? 0 : view.at + 1, true);
    if (view.timer !== null) view.timer = setTimeout(next, 80);
  };
  view.timer = setTimeout(next, 0);
  $("play").textContent = "Pause";
}
function toggleMasks() {
  view.masks = !view.masks;
  $("masks").setAttribute("aria-pressed", view.masks);
  go(view.at);
}
const chip = (object) => {
  const button = el(
    "button", { type: "button", "aria-pressed": false },
    swatch(object.id), object.category || null, el("i", {}, "certainty"), el("em"), el("i", {}, "area"), el("em"),
  );
  button.addEventListener("click", () => {
    if (!view.only.delete(object.id)) view.only.add(object.id);
    button.setAttribute("aria-pressed", view.only.has(object.id));
    drawPlots();
  });
  return paint(button, object.id);
};
const KEYS = {
  ArrowLeft: () => go(view.at - 1), ArrowRight: () => go(view.at + 1),
  Home: () => go(0), End: () => go(video.shown.length - 1), " ": play, m: toggleMasks,
};
$("stage").addEventListener("keydown", (event) => {
  if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  KEYS[event.key]();
});
const skipped = video.names.length - video.shown.length;
$("summary").textContent = [
  count(video.names.length, "frame"), count(video.objects.length, "object"),
  `${count(video.given.length, "frame")} given by hand`,
  ...(skipped ? [`${skipped} frames are not shown, but in the plots`] : []),
].join(" \u00b7 ");
$("slider").max = video.shown.length - 1;
$("slider").addEventListener("input", () => go($("slider").valueAsNumber));
$("play").addEventListener("click", play);
$("masks").addEventListener("click", toggleMasks);
$("objects").replaceChildren(...video.objects.map(chip));
addEventListener("resize", drawPlots);
drawPlots();
const openSequence = (_, frame) => go(nearest(frame));
strip(
  $("worst-here"),
  video.worst.map((frame) => [0, frame]),
  (_, frame) => [el("span", {}, `frame ${frame}`, el("b", {}, percent(least(frame))))],
  (_, frame) => `certainty ${percent(least(frame))}`,
);
go(0);
