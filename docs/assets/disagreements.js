// Sorts and filters the table of disagreements. The state is in the address, so that a choice can be linked to.
(() => {
  const form = document.querySelector(".atlas-form");
  const table = document.querySelector("table.atlas");
  if (!form || !table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const count = form.querySelector("output");

  const asked = () => [...new FormData(form)].filter(([, value]) => value);

  const fits = (row, [name, value]) =>
    name === "text"
      ? row.textContent.toLowerCase().includes(value.toLowerCase())
      : row.dataset[name].split("|").includes(value);

  const show = () => {
    const wanted = asked();
    rows.forEach((row) => { row.hidden = !wanted.every((one) => fits(row, one)); });
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };

  const remember = () => {
    const query = new URLSearchParams(asked()).toString();
    history.replaceState(null, "", (query ? `?${query}` : location.pathname) + location.hash);
  };

  const sort = (head, column) => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th").forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const text = (row) => row.cells[column].textContent;
    rows.sort((a, b) => text(a).localeCompare(text(b), "en", { numeric: true }) * (descending ? -1 : 1));
    body.append(...rows);
  };

  table.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head, column));
    head.replaceChildren(button);
  });

  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements.namedItem(name);
    if (field) field.value = value;
  }
  for (const event of ["input", "change"]) form.addEventListener(event, () => { show(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { show(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
