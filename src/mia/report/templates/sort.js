// Tables with a button in a column's head sort by that column; numbers stand in data-value.
document.documentElement.classList.add("script");
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort"); // at first the largest number, or A, comes first
      const rising = was === "none" ? !head.classList.contains("number") : was === "descending";
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if ((x === "") !== (y === "")) return x === "" ? 1 : -1; // what was not measured stays below
        const apart = x !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y, "en", { numeric: true });
        return rising ? apart : -apart;
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort(order));
      heads.forEach((one) => one.querySelector("button") && one.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    });
  });
}
for (const part of document.querySelectorAll("details")) {
  let was = part.open;
  window.addEventListener("beforeprint", () => { was = part.open; part.open = true; });
  window.addEventListener("afterprint", () => { part.open = was; });
}
