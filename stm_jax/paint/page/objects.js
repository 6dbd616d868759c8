// The list of objects: colour, name, hide, lock, merge, delete.

import { $, element, hub, on, tell, trying } from "./hub.js";
import { editAll } from "./history.js";
import { act } from "./server.js";
import { drawPen } from "./view.js";

const list = $("objects");
let shown = "";

export function choose(id) {
  hub.object = id;
  for (const row of list.children) {
    row.setAttribute("aria-current", Number(row.dataset.id) === id);
  }
  drawPen();
}

export function chooseNext(step) {
  const ids = hub.state.objects.map((each) => each.id);
  if (ids.length) choose(ids[(ids.indexOf(hub.object) + step + ids.length) % ids.length]);
}

export async function add() {
  const before = new Set(hub.state.objects.map((each) => each.id));
  await trying(() => act("AddObject"));
  const look = () => {
    const made = hub.state.objects.find((each) => !before.has(each.id));
    if (made) choose(made.id);
    else setTimeout(look, 30);
  };
  look();
}

const change = (object, fields) => {
  const { name, colour, hidden, locked, id } = { ...object, ...fields };
  return trying(() => act("ChangeObject", { object_id: id, name, colour, hidden, locked }));
};

export const toggle = (field) => {
  const object = hub.state.objects.find((each) => each.id === hub.object);
  if (object) change(object, { [field]: !object[field] });
};

function row(object) {
  const { id, name, colour, hidden, locked } = object;
  const called = name || `object ${id}`;
  const pick = element("button", { className: "pick", title: "Paint this object" }, String(id));
  pick.style.borderColor = colour;
  pick.onclick = () => choose(id);
  const paint = element("input", { type: "color", value: colour, title: `Colour of ${called}` });
  paint.onchange = () => change(object, { colour: paint.value });
  const text = element("input", {
    value: name, placeholder: `object ${id}`, maxLength: 80, "aria-label": `Name of object ${id}`,
  });
  text.onchange = () => change(object, { name: text.value });
  const sign = (label, title, isPressed, onclick) => {
    const made = element("button", { className: "sign", title: `${title} ${called}`, onclick }, label);
    if (isPressed !== null) made.setAttribute("aria-pressed", isPressed);
    return made;
  };
  const others = hub.state.objects.filter((each) => each.id !== id);
  const merge = element("select", { className: "sign", title: `Make ${called} part of another` });
  merge.append(element("option", { value: "" }, "\u2192"));
  for (const each of others) {
    merge.append(element("option", { value: each.id }, `into ${each.name || `object ${each.id}`}`));
  }
  merge.disabled = !others.length;
  merge.onchange = () => {
    const into = Number(merge.value);
    editAll("MergeObjects", { object_id: id, into });
  };
  const remove = () => editAll("RemoveObject", { object_id: id });
  const made = element(
    "li", {}, pick, paint, text,
    sign("H", "Hide", hidden, () => change(object, { hidden: !hidden })),
    sign("L", "Lock", locked, () => change(object, { locked: !locked })),
    merge, sign("\u00d7", "Delete", null, remove),
  );
  made.dataset.id = id;
  return made;
}

on("state", () => {
  const { objects } = hub.state;
  const now = JSON.stringify(objects);
  if (now === shown) return;
  shown = now;
  list.replaceChildren(...objects.map(row));
  const ids = objects.map((each) => each.id);
  choose(ids.includes(hub.object) || !ids.length ? hub.object : ids[0]);
  tell("objects");
});
$("add").onclick = add;
