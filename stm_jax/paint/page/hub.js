// What the page's parts share: the state, and who wants to know of changes.

export const $ = (id) => document.getElementById(id);

export const hub = {
  state: null, // the last "state" of the server, kept up to date by other events
  frame: 0, // that is shown
  object: 1, // that is painted
  tool: null,
  size: 20,
};

const listeners = new Map();

export function on(kind, listener) {
  listeners.set(kind, [...(listeners.get(kind) ?? []), listener]);
}

export function tell(kind, about) {
  for (const listener of listeners.get(kind) ?? []) listener(about);
}

let silence = 0;
export function say(text, isWrong = false) {
  const said = $("said");
  said.textContent = text;
  said.className = isWrong ? "wrong" : "";
  said.hidden = !text;
  clearTimeout(silence);
  silence = setTimeout(() => (said.hidden = true), isWrong ? 8000 : 2500);
}

// Runs what may fail, and says so.
export async function trying(work) {
  try {
    return await work();
  } catch (error) {
    say(error.message, true);
    return undefined;
  }
}

export function element(name, fields = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(fields)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export const objectOf = (id) => hub.state?.objects.find((each) => each.id === id);
