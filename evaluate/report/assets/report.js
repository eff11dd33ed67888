function counted(number, things) {
  return number.toLocaleString("en") + " " + things + (number === 1 ? "" : "s");
}

function sortBy(table, rows, button) {
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

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const rows = Array.from(table.tBodies[0].rows);
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sortBy(table, rows, button);
  });
}

for (const field of document.querySelectorAll("input[data-table]")) {
  const rows = Array.from(document.getElementById(field.dataset.table).tBodies[0].rows);
  const names = rows.map((row) =>
    [row.cells[0], ...row.querySelectorAll("td.name")].map((cell) => cell.textContent.toLowerCase()));
  const output = field.parentElement.querySelector("output");
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, number) => {
      row.hidden = !names[number].some((name) => name.includes(wanted));
      shown += row.hidden ? 0 : 1;
    });
    output.textContent = counted(shown, output.dataset.things);
  });
}

for (const form of document.querySelectorAll("form.videofilter")) {
  const section = form.closest("section");
  const output = form.querySelector("output");
  const cards = Array.from(section.querySelectorAll(".card"), (card) => ({
    card,
    about: card.querySelector(".head").textContent.toLowerCase(),
    tags: Array.from(card.querySelectorAll(".tag"), (tag) => ({
      tag,
      text: tag.querySelector("[dir]").textContent.toLowerCase(),
    })),
  }));
  const filter = () => {
    const wanted = form.elements.text.value.trim().toLowerCase();
    const verdict = form.elements.verdict.value;
    let shown = 0;
    for (const { card, about, tags } of cards) {
      const fits = tags.filter(({ tag, text }) =>
        (!verdict || tag.classList.contains(verdict)) && text.includes(wanted));
      const hasVerdict = !verdict || tags.some(({ tag }) => tag.classList.contains(verdict));
      card.hidden = !(fits.length || (hasVerdict && about.includes(wanted)));
      shown += card.hidden ? 0 : 1;
      for (const each of tags) each.tag.classList.toggle("found", wanted !== "" && fits.includes(each));
      if (wanted || verdict) for (const { tag } of fits) tag.closest("details")?.setAttribute("open", "");
    }
    for (const group of section.querySelectorAll(".samples")) group.hidden = !group.querySelector(".card:not([hidden])");
    output.textContent = counted(shown, "video");
  };
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
}

function showEvidence(event) {
  const tag = event.target.closest("button[data-frames]");
  if (!tag) return;
  const card = tag.closest(".card");
  const panel = card.querySelector(".evidence");
  for (const other of card.querySelectorAll("button[data-frames]")) other.ariaPressed = String(other === tag);
  panel.querySelector(".evidence-of").textContent = tag.querySelector("[dir]").textContent;
  const shade = (parts, written) => {
    const numbers = written.split(" ").map(Number);
    const strongest = Math.max(...numbers);
    parts.forEach((part, place) => {
      part.style.setProperty("--share", numbers[place]);
      part.style.setProperty("--strength", strongest ? numbers[place] / strongest : 0);
      const text = part.querySelector(".share");
      if (text) text.textContent = numbers[place] + " %";
    });
  };
  shade(panel.querySelectorAll(".word"), tag.dataset.words);
  shade(panel.querySelectorAll(".strip li"), tag.dataset.frames);
}
for (const kind of ["pointerover", "focusin", "click"]) document.addEventListener(kind, showEvidence);
