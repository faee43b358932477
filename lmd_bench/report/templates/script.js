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

  // A link to a section unfolds it, and a printer gets all of them.
  function unfold() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const fold = target && target.querySelector("details.fold");
    if (fold) fold.open = true;
  }
  addEventListener("hashchange", unfold);
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details.fold")) fold.open = true;
  });
  unfold();

  // Each drawing can be saved as a file of its own: with the style of the page in it, it looks alike.
  const style = document.querySelector("style").textContent;
  function asFile(svg) {
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const own = document.createElementNS("http://www.w3.org/2000/svg", "style");
    own.textContent = style;
    copy.prepend(own);
    return new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  }
  for (const svg of document.querySelectorAll(".picture svg")) {
    const title = svg.querySelector("title").textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = "Save as SVG";
    button.setAttribute("aria-label", `Save as SVG: ${title}`);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(asFile(svg));
      link.download = `${title.replace(/[^\w.-]+/g, "-").slice(0, 80)}.svg`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    svg.after(button);
  }

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

  // One task at a time: all of them make a page that nobody reads to its end.
  if (task.options.length > 2) task.selectedIndex = 1;
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  filter(); // a browser may keep what was typed when the page is loaded again
})();
