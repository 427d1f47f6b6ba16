"use strict";
// What reading does not need: sorting tables, pointing at a trial in all pictures at once, copying the command.

const all = (what, where = document) => [...where.querySelectorAll(what)];

// --- sorting -------------------------------------------------------------------------------------------------------
for (const table of all(".trials, .classes, .measures, .findings")) {
  all("thead th", table).forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head, column));
  });
}

function sort(table, head, column) {
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => {
    const cell = row.cells[column];
    const told = cell.dataset.v ?? cell.textContent.trim();
    return [Number.isFinite(Number(told)) && told !== "" ? Number(told) : null, told];
  };
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [key(row), row]);
  rows.sort(([[a, at]], [[b, bt]]) => {
    const missing = (n, t) => n === null && (t === "" || t === "–");
    if (missing(a, at) || missing(b, bt)) return missing(a, at) - missing(b, bt); // always last
    const order = a !== null && b !== null ? a - b : a !== null ? -1 : b !== null ? 1 : at.localeCompare(bt);
    return up ? order : -order;
  });
  body.append(...rows.map(([, row]) => row));
}

// --- pointing ------------------------------------------------------------------------------------------------------
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);

const marks = new Map(); // trial -> everything that stands for it
for (const mark of all("path[data-t], tr[data-t]")) {
  if (!marks.has(mark.dataset.t)) marks.set(mark.dataset.t, []);
  marks.get(mark.dataset.t).push(mark);
}
let current = null;

function point(trial) {
  if (trial === current) return;
  for (const mark of marks.get(current) ?? []) mark.classList.remove("on");
  current = trial;
  document.documentElement.classList.toggle("pointing", trial !== null);
  for (const mark of marks.get(trial) ?? []) {
    mark.classList.add("on");
    if (mark.localName === "path" && !mark.classList.contains("dots")) mark.parentNode.append(mark); // in front of the others
  }
}

for (const row of all("tr[data-t]")) {
  row.addEventListener("pointerenter", () => point(row.dataset.t));
  row.addEventListener("pointerleave", () => point(null));
}

function summary(trial) {
  const row = (marks.get(trial) ?? []).find((mark) => mark.localName === "tr");
  if (!row) return [];
  const heads = all("thead th", row.closest("table")).map((head) => head.textContent);
  return [...row.cells].map((cell, k) => [heads[k], cell.textContent]).slice(1, -2).filter(([, told]) => told && told !== "–");
}

for (const area of all(".area")) {
  const paths = all("path[data-t]:not(.dots)", area);
  if (paths.length < 2) continue;
  let corners = null; // read once, when first needed: the numbers of each path, every second one an x
  const read = () =>
    paths.map((path) => {
      const n = (path.getAttribute("d").match(/-?\d+/g) ?? []).map(Number);
      return [path.dataset.t, n];
    });
  const seek = (event) => {
    corners ??= read();
    const box = area.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 2000;
    const y = ((event.clientY - box.top) / box.height) * 1000;
    const [sx, sy] = [box.width / 2000, box.height / 1000];
    let [near, least] = [null, 24 * 24];
    for (const [trial, n] of corners) {
      for (let k = 0; k + 3 < n.length; k += 2) {
        const away = distance(x * sx, y * sy, n[k] * sx, n[k + 1] * sy, n[k + 2] * sx, n[k + 3] * sy);
        if (away < least) [near, least] = [trial, away];
      }
    }
    point(near);
    tell(near, event, box);
  };
  area.addEventListener("pointermove", seek);
  area.addEventListener("pointerdown", seek);
  area.addEventListener("pointerleave", () => {
    point(null);
    tip.hidden = true;
  });
}

function distance(x, y, ax, ay, bx, by) {
  const [dx, dy] = [bx - ax, by - ay];
  const t = Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1), 0), 1);
  return (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2;
}

function tell(trial, event, box) {
  tip.hidden = trial === null;
  if (trial === null) return;
  const title = document.createElement("b");
  title.textContent = `trial ${trial}`;
  tip.replaceChildren(title, ...summary(trial).flatMap(([name, told]) => [`${name}: ${told}`, document.createElement("br")]));
  const wide = tip.offsetWidth;
  const left = Math.min(Math.max(event.clientX + 14, 8), document.documentElement.clientWidth - wide - 8);
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${event.clientY + window.scrollY + 18}px`;
}

// --- copying and printing ------------------------------------------------------------------------------------------
for (const place of all(".command")) {
  if (!navigator.clipboard) continue;
  const code = place.textContent;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  place.append(button);
}
let closed = [];
window.addEventListener("beforeprint", () => {
  closed = all("details:not([open])");
  for (const one of closed) one.open = true;
});
window.addEventListener("afterprint", () => {
  for (const one of closed) one.open = false;
});
