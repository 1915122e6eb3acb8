"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const table = get("tensors");
  const bodies = [...table.tBodies];
  const heads = [...table.tHead.rows[0].cells];
  const searchTexts = bodies.map((body) => [...body.rows[0].cells].filter((cell) => !cell.matches(".n:not([data-l=shape])"))
    .map((cell) => cell.textContent).join(" ").toLowerCase());
  const collator = new Intl.Collator("en", { numeric: true });

  // Sorting: ascending, descending, and back to file order. Cells without a number come last in both directions.
  const key = (body, column) => {
    const cell = body.rows[0].cells[column];
    if (!heads[column].classList.contains("n")) return cell.textContent;
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  const sort = (column, direction) => {
    let order = bodies.map((body, n) => ({ body, n, key: direction ? key(body, column) : n }));
    if (direction) {
      order.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.n - b.n;
        const difference = typeof a.key === "number" ? a.key - b.key : collator.compare(a.key, b.key);
        return difference * direction || a.n - b.n;
      });
    }
    heads.forEach((head, n) => {
      if (direction && n === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    table.append(...order.map((item) => item.body));
    get("sort").value = direction ? column * 2 + (direction < 0 ? 1 : 0) : -1;
  };
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const current = head.getAttribute("aria-sort");
      sort(column, current === "ascending" ? -1 : current === "descending" ? 0 : 1);
    });
    for (const [n, arrow] of ["▲", "▼"].entries()) {
      get("sort").add(new Option(`${button.textContent} ${arrow}`, column * 2 + n));
    }
  });
  get("sort").addEventListener("change", (event) => {
    const chosen = Number(event.target.value);
    if (chosen < 0) sort(0, 0);
    else sort(chosen >> 1, chosen % 2 ? -1 : 1);
  });

  // Filtering: every word of the filter must occur in name, type, shape or scheme.
  const filter = () => {
    const filterWords = get("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const warned = get("warned").checked;
    let count = 0;
    bodies.forEach((body, n) => {
      const matches = filterWords.every((word) => searchTexts[n].includes(word)) && (!warned || body.dataset.w !== "0");
      body.hidden = !matches;
      count += matches;
    });
    get("shown").textContent = `${count} of ${bodies.length}`;
  };
  get("filter").addEventListener("input", filter);
  get("warned").addEventListener("change", filter);

  // Details that open below a row.
  const setOpen = (body, isOpen) => {
    body.rows[1].hidden = !isOpen;
    body.querySelector(".name").setAttribute("aria-expanded", isOpen);
    get("close").hidden = !table.querySelector("[aria-expanded=true]");
  };
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".name");
    if (button) setOpen(button.closest("tbody"), button.getAttribute("aria-expanded") !== "true");
  });
  get("close").addEventListener("click", () => bodies.forEach((body) => setOpen(body, false)));
  const openLinkedTensor = () => {
    const body = bodies.find((body) => "#" + body.id === location.hash);
    if (!body) return;
    if (body.hidden) {
      get("filter").value = "";
      get("warned").checked = false;
      filter();
    }
    setOpen(body, true);
    body.scrollIntoView({ block: "center" });
    body.querySelector(".name").focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    // Clicking the link of the current hash fires no hashchange event.
    if (event.target.closest(".links a")) setTimeout(openLinkedTensor);
  });
  addEventListener("hashchange", openLinkedTensor);
  openLinkedTensor();
  // Browsers keep the text of the filter over a reload.
  filter();

  // The chart: series that are hovered or selected are highlighted.
  const chart = document.querySelector(".depth");
  const buttons = [...document.querySelectorAll("[data-s]")];
  const highlight = (hovered) => {
    let anyOn = false;
    for (const button of buttons) {
      const on = button === hovered || button.getAttribute("aria-pressed") === "true";
      get("s" + button.dataset.s).classList.toggle("on", on);
      anyOn ||= on;
    }
    chart.classList.toggle("lit", anyOn);
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      highlight(null);
    });
    button.addEventListener("pointerenter", () => highlight(button));
    button.addEventListener("pointerleave", () => highlight(null));
  }
})();
