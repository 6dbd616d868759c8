/* Plots. */
function lines(curve, x, y) {
  let path = "",
    pen = "M";
  curve.forEach((value, i) => {
    if (!known(value)) return void (pen = "M");
    path += `${pen}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  return path;
}
const MARKS = {
  kept: (x, y) => svg("rect", { class: "kept", x: x - 1.5, y: y - 5, width: 3, height: 10 }),
  gone: (x, y) => svg("rect", { class: "gone", x: x - 1.5, y: y - 4.5, width: 3, height: 9 }),
  drop: (x, y) => svg("path", { class: "drop", d: `M${x - 3} ${y - 3}l6 6m0 -6l-6 6` }),
  given: (x, y) => svg("path", { class: "given", d: `M${x - 4.5} ${y - 4}h9l-4.5 8z` }),
};
function marksOf(sequence) {
  const gone = new Map(sequence.dropped);
  const memorized = [...new Set([...sequence.memorized, ...gone.keys()])];
  return [
    ...sequence.given.map((frame) => ["given", frame, `mask given in frame ${frame}`]),
    ...memorized.map((frame) =>
      gone.has(frame)
        ? ["gone", frame, `memorised in frame ${frame}, dropped in frame ${gone.get(frame)}`]
        : ["kept", frame, `memorised in frame ${frame}`],
    ),
    ...sequence.dropped.map(([frame, at]) => [
      "drop",
      at,
      `frame ${frame} was dropped from memory in frame ${at}`,
    ]),
  ];
}
/* Draws one measure of a sequence; returns what moves the cursor. `only`: ids, empty for all;
   `paint` gives an element the colour of an object; `seek` is told the frame that is pointed at. */
function plot(holder, sequence, measure, { name, only, paint, seek }) {
  const last = Math.max(sequence.names.length - 1, 1);
  const [width, left, right, top, high] = [Math.max(holder.clientWidth, 200), 32, 26, 8, 150];
  const x = (frame) => left + (frame / last) * (width - left - right);
  const y = (value) => top + (1 - value) * high;
  const [lane, events, ticks] = [top + high + 14, top + high + 28, top + high + 50];
  const shown = (object) => !only.size || only.has(object.id);
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((value) => [
    svg("line", {
      class: value === 0.5 ? "grid half" : "grid",
      x1: left,
      x2: width - right,
      y1: y(value),
      y2: y(value),
    }),
    svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(100 * value)),
  ]);
  const rough = (last / Math.max(width - left - right, 1)) * 60;
  const ten = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= rough) || ten;
  for (let frame = 0; frame <= last; frame += step)
    grid.push(svg("text", { x: x(frame), y: ticks, "text-anchor": "middle" }, String(frame)));
  const marks = marksOf(sequence).map(([kind, frame, text]) => {
    const mark = MARKS[kind](x(frame), kind === "given" || kind === "drop" ? events : lane);
    mark.append(svg("title", {}, text));
    return mark;
  });
  const curves = sequence.objects.map((object) =>
    paint(
      svg(
        "path",
        {
          d: lines(object[measure], x, y),
          class: shown(object) ? "curve" : "curve faded",
          "stroke-dasharray": object.id > 7 ? "6 3" : null, // the colours from 8 on are shades of the first ones
        },
        svg("title", {}, `object ${object.id}`),
      ),
      object.id,
    ),
  );
  const tags = sequence.objects
    .filter(shown)
    .flatMap((object) => {
      const end = object[measure].findLastIndex(known);
      return end < 0 ? [] : [{ id: object.id, x: x(end) + 6, y: y(object[measure][end]) + 4 }];
    })
    .sort((a, b) => a.y - b.y);
  for (let i = 1; i < tags.length; i++) tags[i].y = Math.max(tags[i].y, tags[i - 1].y + 12);
  const over = tags.length ? Math.max(0, tags.at(-1).y - (top + high + 4)) : 0;
  const names =
    sequence.objects.length < 2
      ? []
      : tags.map((tag, i) =>
          paint(
            svg(
              "text",
              {
                class: "tag",
                x: tag.x,
                y: Math.min(tag.y, Math.max(tag.y - over, top + 4 + 12 * i)),
              },
              String(tag.id),
            ),
            tag.id,
          ),
        );
  const cursor = svg("line", { class: "cursor", y1: top - 4, y2: events + 6 });
  const dots = svg("g");
  const node = svg(
    "svg",
    {
      height: ticks + 6,
      width,
      viewBox: `0 0 ${width} ${ticks + 6}`,
      role: "img",
      "aria-label": `${name} of ${count(sequence.objects.length, "object")} over ${count(sequence.names.length, "frame")}`,
    },
    ...grid,
    ...marks,
    ...curves,
    ...names,
    cursor,
    dots,
  );
  const point = (event) => {
    const inside =
      (event.clientX - node.getBoundingClientRect().left) * (width / node.clientWidth) - left;
    seek(Math.round((inside / (width - left - right)) * last));
  };
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    point(event);
  });
  node.addEventListener("pointermove", (event) => event.buttons && point(event));
  holder.replaceChildren(node);
  return (frame) => {
    cursor.setAttribute("x1", x(frame));
    cursor.setAttribute("x2", x(frame));
    dots.replaceChildren(
      ...sequence.objects
        .filter((object) => shown(object) && known(object[measure][frame]))
        .map((object) =>
          paint(
            svg("circle", { class: "dot", r: 4, cx: x(frame), cy: y(object[measure][frame]) }),
            object.id,
          ),
        ),
    );
  };
}
