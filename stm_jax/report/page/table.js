/* The table. */
const NUMBERS = ["J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay"];
const table = { kind: "sequences", column: 0, up: true };
function least(values) {
  const numbers = values.filter(known);
  return numbers.length ? Math.min(...numbers) : null;
}
function rowsOf(kind) {
  return page.sequences.flatMap((sequence, number) => {
    const row = (object, scores, curve, shown) => ({
      number,
      object,
      curve,
      shown,
      keys: [
        sequence.name,
        shown,
        sequence.names.length,
        ...(scores || Array(7).fill(null)),
        least(curve),
        sequence.rate,
      ],
    });
    if (kind === "sequences")
      return [row(null, sequence.scores, sequence.mean_j, sequence.objects.length)];
    return sequence.objects.map((object) => row(object.id, object.scores, object.j, object.id));
  });
}
function sparkline(curve, objectId) {
  const [width, height] = [96, 22];
  const path = lines(
    curve,
    (i) => (i / Math.max(curve.length - 1, 1)) * width,
    (v) => 1 + (1 - v) * (height - 2),
  );
  const node = svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    svg("path", { d: path, class: "curve" }),
  );
  if (objectId === null) node.style.setProperty("--object", "var(--ink)");
  else paint(node, objectId);
  return node;
}
function fillTable() {
  const withRate = page.sequences.some((sequence) => sequence.rate);
  const byObject = table.kind === "objects";
  const names = [
    "Sequence",
    byObject ? "Object" : "Objects",
    "Frames",
    ...NUMBERS,
    "Lowest J",
    ...(withRate ? ["Frames/s"] : []),
  ];
  const order = (key) => () => {
    table.up = table.column === key ? !table.up : true;
    table.column = key;
    fillTable();
    $("table").querySelectorAll("thead button")[key].focus();
  };
  $("table").tHead.replaceChildren(
    el(
      "tr",
      {},
      ...names.map((name, key) =>
        el(
          "th",
          {
            scope: "col",
            class: key ? null : "text",
            "aria-sort": key === table.column ? (table.up ? "ascending" : "descending") : null,
          },
          el("button", { type: "button", onclick: order(key) }, name),
        ),
      ),
    ),
  );
  const rows = rowsOf(table.kind);
  rows.sort((a, b) => {
    const [x, y] = [a.keys[table.column], b.keys[table.column]];
    if (!known(x) || !known(y)) return known(y) - known(x);
    return (
      (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y) *
      (table.up ? 1 : -1)
    );
  });
  $("table").tBodies[0].replaceChildren(
    ...rows.map((row) => {
      const [name, shown, frames, both, ...rest] = row.keys;
      const [lowest, rate] = rest.slice(6);
      const bar = el("td", { class: "bar" }, percent(both));
      bar.style.setProperty("--share", `${100 * (both || 0)}%`);
      return el(
        "tr",
        { "data-number": row.number, onclick: () => openSequence(row.number, null, row.object) },
        el(
          "th",
          { scope: "row", class: "text" },
          el("button", { type: "button", title: name }, name),
        ),
        el("td", {}, byObject ? swatch(row.object) : String(shown)),
        el("td", {}, String(frames)),
        bar,
        ...rest.slice(0, 6).map((value) => el("td", {}, percent(value))),
        el("td", { class: "spark" }, sparkline(row.curve, row.object), percent(lowest)),
        withRate ? el("td", {}, rate ? rate.toFixed(1) : "\u2013") : null,
      );
    }),
  );
  mark();
}
function chooseRows() {
  if (page.sequences.every((sequence) => sequence.objects.length === 1)) return;
  const buttons = ["sequences", "objects"].map((kind) =>
    el(
      "button",
      {
        type: "button",
        "aria-pressed": kind === table.kind,
        onclick: (event) => {
          table.kind = kind;
          buttons.forEach((button) =>
            button.setAttribute("aria-pressed", button === event.currentTarget),
          );
          fillTable();
        },
      },
      kind === "sequences" ? "Sequences" : "Objects",
    ),
  );
  $("rows").append(...buttons);
}
