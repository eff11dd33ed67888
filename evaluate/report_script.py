"""The report's only script: sorts and searches the table of tags. Without it the page reads the same."""

from __future__ import annotations

SCRIPT = """
const table = document.getElementById("tag-table");
const rows = Array.from(table.tBodies[0].rows);
const names = rows.map((row) => row.cells[0].textContent.toLowerCase());

function sortBy(button) {
  const heading = button.closest("th");
  const isText = "text" in button.dataset;
  const descending = heading.ariaSort === "none" ? !isText : heading.ariaSort === "ascending";
  for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
  heading.ariaSort = descending ? "descending" : "ascending";
  const column = Number(button.dataset.column);
  const value = (row) => isText ? row.cells[column].textContent : Number(row.cells[column].dataset.value);
  const compare = (a, b) => isText ? value(a).localeCompare(value(b)) : value(a) - value(b);
  table.tBodies[0].append(...[...rows].sort((a, b) => descending ? compare(b, a) : compare(a, b)));
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  let shown = 0;
  rows.forEach((row, number) => {
    row.hidden = !names[number].includes(wanted);
    shown += row.hidden ? 0 : 1;
  });
  const count = shown.toLocaleString("en");
  document.getElementById("tag-count").textContent = count + (shown === 1 ? " tag" : " tags");
}

table.tHead.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) sortBy(button);
});
document.getElementById("tag-filter").addEventListener("input", (event) => search(event.target.value));
"""
