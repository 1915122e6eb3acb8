"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const table = get("tensors");
  const bodies = [...table.tBodies];
  const heads = [...table.tHead.rows[0].cells];
  const words = bodies.map((body) => [...body.rows[0].cells].filter((cell) => !cell.matches(".n:not([data-l=shape])"))
    .map((cell) => cell.textContent).join(" ").toLowerCase());
  const collator = new Intl.Collator("en", { numeric: true });

  // Sorting: up, down, and back to the file's order. What has no number comes last either way.
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
        const by = typeof a.key === "number" ? a.key - b.key : collator.compare(a.key, b.key);
        return by * direction || a.n - b.n;
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
      const now = head.getAttribute("aria-sort");
      sort(column, now === "ascending" ? -1 : now === "descending" ? 0 : 1);
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

  // Filtering: every word of the filter must stand in name, type, shape or scheme.
  const filter = () => {
    const wanted = get("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const warned = get("warned").checked;
    let count = 0;
    bodies.forEach((body, n) => {
      const fits = wanted.every((word) => words[n].includes(word)) && (!warned || body.dataset.w !== "0");
      body.hidden = !fits;
      count += fits;
    });
    get("shown").textContent = `${count} of ${bodies.length}`;
  };
  get("filter").addEventListener("input", filter);
  get("warned").addEventListener("change", filter);

  // Rows that open.
  const open = (body, yes) => {
    body.rows[1].hidden = !yes;
    body.querySelector(".name").setAttribute("aria-expanded", yes);
    get("close").hidden = !table.querySelector("[aria-expanded=true]");
  };
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".name");
    if (button) open(button.closest("tbody"), button.getAttribute("aria-expanded") !== "true");
  });
  get("close").addEventListener("click", () => bodies.forEach((body) => open(body, false)));
  const follow = () => {
    const body = bodies.find((body) => "#" + body.id === location.hash);
    if (!body) return;
    if (body.hidden) {
      get("filter").value = "";
      get("warned").checked = false;
      filter();
    }
    open(body, true);
    body.scrollIntoView({ block: "center" });
    body.querySelector(".name").focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    // A link that was followed already leads there again.
    if (event.target.closest(".links a")) setTimeout(follow);
  });
  addEventListener("hashchange", follow);
  follow();
  // What was typed before a reload is still there.
  filter();

  // The chart: a kind that is pointed at, or chosen, stands out.
  const chart = document.querySelector(".depth");
  const buttons = [...document.querySelectorAll("[data-s]")];
  const light = (pointed) => {
    let any = false;
    for (const button of buttons) {
      const on = button === pointed || button.getAttribute("aria-pressed") === "true";
      get("s" + button.dataset.s).classList.toggle("on", on);
      any ||= on;
    }
    chart.classList.toggle("lit", any);
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      light(null);
    });
    button.addEventListener("pointerenter", () => light(button));
    button.addEventListener("pointerleave", () => light(null));
  }
})();
