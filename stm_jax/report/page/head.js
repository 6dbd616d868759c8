/* What does not change once it is written: scores of all objects, problems, settings. */

function head() {
  const all = page.sequences;
  const objects = all.reduce((sum, each) => sum + each.objects.length, 0);
  const frames = all.reduce((sum, each) => sum + each.names.length, 0);
  $("summary").textContent = [
    page.protocol,
    count(all.length, "sequence"),
    count(objects, "object"),
    count(frames, "frame"),
  ].join(" \u00b7 ");
  const tile = (name, value, parts) =>
    el(
      "div",
      { class: "tile" },
      name,
      el("b", {}, value),
      el(
        "dl",
        {},
        ...parts.map(([part, number]) => el("div", {}, el("dt", {}, part), el("dd", {}, number))),
      ),
    );
  const [both, jMean, jRecall, jDecay, fMean, fRecall, fDecay] = page.total.map(percent);
  $("tiles").append(
    tile("J&F", both, [["mean of J and F, percent", ""]]),
    tile("J, region", jMean, [
      ["recall", jRecall],
      ["decay", jDecay],
    ]),
    tile("F, contour", fMean, [
      ["recall", fRecall],
      ["decay", fDecay],
    ]),
  );
  const ranked = Object.entries(page.ranked);
  if (ranked.length) {
    const first = { burst: "HOTA_all", vost: "J_tr" }[page.protocol] ?? "overall";
    const main = first in page.ranked ? first : ranked[0][0];
    const title = page.protocol === "youtube-vos" ? "YouTube-VOS" : page.protocol.toUpperCase();
    $("tiles").append(
      tile(
        `${title} ${main.replace("_", " ")}`,
        percent(page.ranked[main]),
        ranked
          .filter(([name]) => name !== main)
          .map(([name, value]) => [name.replace("_", " "), percent(value)]),
      ),
    );
  }
  if (page.problems.length) {
    $("problems").hidden = false;
    $("problems").append(
      el("p", {}, count(page.problems.length, "problem")),
      el("ul", {}, ...page.problems.map((line) => el("li", {}, line))),
    );
  }
}

function made() {
  for (const [name, rows] of Object.entries(page.made))
    if (rows.length)
      $("made").append(
        el(
          "table",
          {},
          el("caption", {}, name === "settings" ? "Settings" : "Versions"),
          el(
            "tbody",
            {},
            ...rows.map(([key, value]) =>
              el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, value)),
            ),
          ),
        ),
      );
  const { left_out, wanted, width } = page.pictures;
  const some = left_out
    ? `${left_out} of ${wanted} frames are not shown, to keep this page small; the worst ones ` +
      "and those that were memorised are. The plots and scores have all frames. "
    : "All frames are on this page. ";
  $("stored").textContent = `${some}Pictures are at most ${width} pixels wide.`;
}
