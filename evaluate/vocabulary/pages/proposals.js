const section = document.getElementById("proposals");

if (section) {
  const rows = Array.from(section.querySelectorAll("tbody tr"));
  const form = section.querySelector("form");
  const done = document.getElementById("done");
  let saved = true;

  const answerOf = (row) => row.dataset.answer || "";

  function tell() {
    const count = (answer) => rows.filter((row) => answerOf(row) === answer).length;
    done.textContent = `${count("yes").toLocaleString("en")} accepted, ${count("no").toLocaleString("en")} refused, `
      + `${count("").toLocaleString("en")} open`;
  }

  function decide(row, answer) {
    row.dataset.answer = answer;
    saved = false;
    for (const button of row.querySelectorAll("button[data-answer]"))
      button.ariaPressed = String(button.dataset.answer === answer);
  }

  function filter() {
    const kind = form.elements.kind.value;
    const wanted = form.elements.text.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const names = Array.from(row.querySelectorAll("bdi"), (name) => name.textContent.toLowerCase());
      row.hidden = (kind !== "" && row.dataset.kind !== kind) || !names.some((name) => name.includes(wanted))
        || (form.elements.open.checked && answerOf(row) !== "");
      shown += row.hidden ? 0 : 1;
    }
    form.querySelector("output").textContent = shown.toLocaleString("en") + " shown";
  }

  section.querySelector("tbody").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-answer]");
    if (!button) return;
    const row = button.closest("tr");
    decide(row, answerOf(row) === button.dataset.answer ? "" : button.dataset.answer);
    tell();
  });

  for (const button of section.querySelectorAll("button[data-all]"))
    button.addEventListener("click", () => {
      for (const row of rows) if (!row.hidden) decide(row, button.dataset.all);
      tell();
    });

  document.getElementById("save").addEventListener("click", () => {
    const lines = [section.dataset.heading, ...rows.map((row) => `${row.dataset.line},${answerOf(row)}`)];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv;charset=utf-8" }));
    link.download = "accepted.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    saved = true;
  });

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
}
