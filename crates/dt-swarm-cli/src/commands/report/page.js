"use strict";
(() => {
  // Rows are made when they are needed: thousands at once would keep the browser busy.
  const SLICE = 200;
  const data = JSON.parse(document.getElementById("data").textContent);
  const [body, more, shown, filter] = ["rows", "more", "shown", "filter"].map((id) => document.getElementById(id));
  const headings = [...document.querySelectorAll("th")];
  const collator = new Intl.Collator(undefined, { numeric: true });
  const peer = (index) => (index === null ? "" : data.peers[index]);
  // The parts of a text, each of which stays on one line if it can.
  const keepers = (file) => {
    const others = file.copies - file.holders.length;
    return file.holders.map(peer).concat(others > 0 ? [`${others} more`] : []);
  };

  // The columns, in the order of the headings: class, shown text or its parts, value to sort by, and whether the largest is first.
  const columns = [
    ["name", (file) => file.name ?? "?", (file) => file.name],
    ["size", (file) => file.size, (file) => file.bytes, true],
    ["date", (file) => file.date, (file) => file.time, true],
    ["content", (file) => file.content, (file) => file.content || null],
    ["uploader", (file) => [peer(file.uploader) + (file.is_doubtful ? " ?" : "")], (file) => peer(file.uploader) || null],
    ["state", (file) => data.states[file.state], (file) => file.state],
    ["copies", (file) => `${file.copies} of ${data.wanted_copies}`, (file) => file.copies, true],
    ["holders", keepers, (file) => keepers(file).join() || null],
    ["cid", (file) => file.cid, (file) => file.cid],
  ];
  const files = data.files;
  const texts = new Map();
  for (const file of files) {
    const words = columns.flatMap(([, text]) => text(file)).concat(file.remarks);
    texts.set(file, words.join("\n").toLowerCase());
  }
  let chosen = files;
  let made = 0;

  const compare = (one, other) => (typeof one === "string" ? collator.compare(one, other) : one - other);

  function sort(number, descending) {
    const value = columns[number][2];
    const keyed = files.map((file) => [value(file), file]);
    keyed.sort(([one], [other]) => {
      // What is not known is last in both orders.
      if (one === null || other === null) return (one === null) - (other === null);
      return descending ? compare(other, one) : compare(one, other);
    });
    keyed.forEach(([, file], index) => { files[index] = file; });
    headings.forEach((heading, index) => {
      const order = descending ? "descending" : "ascending";
      heading.setAttribute("aria-sort", index === number ? order : "none");
    });
    show();
  }

  function show() {
    const words = filter.value.toLowerCase().split(/\s+/);
    chosen = files.filter((file) => words.every((word) => texts.get(file).includes(word)));
    body.replaceChildren();
    made = 0;
    add();
    shown.textContent = chosen.length === files.length ? "" : `${chosen.length} of ${files.length}`;
  }

  function add() {
    body.append(...chosen.slice(made, made + SLICE).map(row));
    made = Math.min(made + SLICE, chosen.length);
    more.hidden = made === chosen.length;
    more.textContent = `Show more (${chosen.length - made} left)`;
  }

  function row(file) {
    const line = document.createElement("tr");
    line.setAttribute("role", "row");
    columns.forEach(([kind, text], index) => {
      const cell = document.createElement("td");
      const parts = [text(file)].flat();
      cell.setAttribute("role", "cell");
      cell.className = parts.join("") === "" ? `${kind} empty` : kind;
      cell.dataset.label = headings[index].textContent;
      const span = document.createElement("span");
      const last = parts.length - 1;
      parts.forEach((part, at) => span.append(element("span", at < last ? `${part},` : part), " "));
      cell.append(span);
      if (kind === "name") cell.append(...file.remarks.map((remark) => element("p", remark)));
      line.append(cell);
    });
    return line;
  }

  function element(name, text) {
    const node = document.createElement(name);
    node.textContent = text;
    return node;
  }

  headings.forEach((heading, number) => {
    heading.firstElementChild.addEventListener("click", () => {
      const now = heading.getAttribute("aria-sort");
      const first = columns[number][3] === true;
      sort(number, now === "none" ? first : now === "ascending");
    });
  });
  filter.addEventListener("input", show);
  more.addEventListener("click", add);
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !more.hidden) add();
  }).observe(more);
  show();
})();
