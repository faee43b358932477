"use strict";
// Sorting and filtering. Without this script all tables and figures are there, in their first order.
(() => {
  const collator = new Intl.Collator("en", { numeric: true });

  function valueOf(row, column, numeric) {
    const value = row.cells[column].dataset.v;
    if (value === undefined) return null;
    return numeric ? Number(value) : value;
  }

  // Missing cells come last, whatever the direction.
  function compare(a, b, sign, numeric) {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (numeric ? a - b : collator.compare(a, b));
  }

  function sortBy(table, header) {
    const numeric = header.classList.contains("n");
    const now = header.getAttribute("aria-sort");
    const next = now === null ? (numeric ? "descending" : "ascending")
      : now === "descending" ? "ascending" : "descending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const column = header.cellIndex;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [valueOf(row, column, numeric), row]);
    rows.sort((a, b) => compare(a[0], b[0], sign, numeric));
    body.append(...rows.map((pair) => pair[1]));
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sortBy(table, header));
      header.append(button);
    }
  }

  // What is wider than the window can be scrolled by the keyboard too; the rest is no tab stop.
  const scrolls = [...document.querySelectorAll(".scroll")];
  function stops() {
    for (const box of scrolls) {
      const wide = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (wide) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
    }
  }
  addEventListener("resize", stops);
  for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", stops);
  stops();

  const form = document.querySelector(".filter");
  const task = document.getElementById("task");
  const method = document.getElementById("method");
  const shown = document.getElementById("shown");
  const methods = JSON.parse(document.getElementById("content").dataset.methods);

  function filter() {
    const words = method.value.trim().toLowerCase();
    const fits = (name) => name.toLowerCase().includes(words);
    for (const part of document.querySelectorAll("[data-task], [data-method]")) {
      const inTask = !task.value || !part.dataset.task || part.dataset.task === task.value;
      const named = !part.dataset.method || fits(part.dataset.method);
      part.toggleAttribute("hidden", !(inTask && named));
    }
    const n = methods.filter(fits).length;
    shown.textContent = `${n} of ${methods.length} methods shown`;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  filter(); // a browser may keep what was typed when the page is loaded again
})();
