"use strict";
for (const box of document.querySelectorAll(".table")) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const heads = [...box.querySelectorAll("th")];
  const collator = new Intl.Collator("en", { numeric: true });
  const texts = rows.map((row) => row.textContent.toLowerCase());

  // Sorting: ascending, descending, and back to the order of execution. Cells without a number come last in both directions.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!heads[column].classList.contains("n")) return cell.textContent;
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  const sort = (column, direction) => {
    const order = rows.map((row, index) => ({ row, index, key: direction ? key(row, column) : index }));
    if (direction) {
      order.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.index - b.index;
        const difference = typeof a.key === "number" ? a.key - b.key : collator.compare(a.key, b.key);
        return difference * direction || a.index - b.index;
      });
    }
    heads.forEach((head, index) => {
      if (direction && index === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    body.append(...order.map((item) => item.row));
  };
  heads.forEach((head, column) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const current = head.getAttribute("aria-sort");
      sort(column, current === "ascending" ? -1 : current === "descending" ? 0 : 1);
    });
  });

  const input = box.querySelector("input");
  if (!input) continue;
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      count += !row.hidden;
    });
    box.querySelector("output").textContent = `${count} of ${rows.length}`;
  };
  input.addEventListener("input", filter);
  // Browsers keep the text of the filter over a reload.
  filter();
}
