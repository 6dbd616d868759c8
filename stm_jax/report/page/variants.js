/* Sorts the table of variants; the page stands without. */
const $ = (id) => document.getElementById(id);
const headings = [...$("table").tHead.rows[0].cells];
const inOrder = [...$("table").tBodies[0].rows];

function valueOf(row, column) {
  const { value } = row.cells[column].dataset;
  return value === undefined ? row.cells[column].textContent : Number(value || NaN);
}
function sortBy(column, up) {
  const rows = [...inOrder].sort((a, b) => {
    const [x, y] = [valueOf(a, column), valueOf(b, column)];
    if (typeof x === "string") return (up ? 1 : -1) * x.localeCompare(y, "en", { numeric: true });
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
    return (up ? 1 : -1) * (x - y);
  });
  $("table").tBodies[0].append(...rows);
  headings.forEach((heading, i) => {
    if (i === column) heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    else heading.removeAttribute("aria-sort");
  });
}
headings.forEach((heading, column) =>
  heading.firstElementChild.addEventListener("click", () => {
    const before = heading.getAttribute("aria-sort");
    /* Numbers begin with the largest, names with the first. */
    sortBy(column, before ? before === "descending" : heading.classList.contains("text"));
  }),
);
