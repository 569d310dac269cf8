// A combobox that searches units on the server (ARIA Authoring Practices: list autocomplete, the focus stays in the
// text field). The field that the server drew keeps the codes and is what gets sent; this puts names in front of it.

const WAIT = 180; // milliseconds of quiet before a search

class UnitPicker {
  constructor(box) {
    this.box = box;
    this.text = box.dataset;
    this.multiple = "multiple" in box.dataset;
    this.field = box.querySelector("input");
    this.options = [];
    this.active = -1;
    this.chosen = Array.from(box.querySelectorAll("[data-value]"), (item) => ({ value: item.dataset.value, label: item.textContent }));
    this.build();
    this.remember();
    this.show();
  }

  build() {
    const id = this.field.id;
    this.input = this.field.cloneNode();
    for (const name of ["name", "value", "required"]) this.input.removeAttribute(name);
    this.input.value = "";
    this.input.type = "text";
    this.input.placeholder = this.text.textPlaceholder;
    const told = { role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": `${id}-list`, autocomplete: "off", "data-draft-skip": "" };
    for (const [name, value] of Object.entries(told)) this.input.setAttribute(name, value);
    if (this.field.required) this.input.setAttribute("aria-required", "true");
    this.field.type = "hidden";
    this.field.removeAttribute("id");
    this.list = this.make("ul", "portal-picker-list", { id: `${id}-list`, role: "listbox", "aria-label": this.label(id) });
    this.list.hidden = true;
    this.status = this.make("p", "portal-picker-status", { role: "status" });
    this.tags = this.box.querySelector(".portal-picker-chosen") || this.make("ul", "portal-picker-chosen", {});
    this.box.prepend(this.tags);
    const place = this.make("div", "portal-picker-place", {});
    place.append(this.input, this.list);
    this.field.after(place, this.status);
    this.listen();
  }

  make(tag, css, attributes) {
    const element = document.createElement(tag);
    element.className = css;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  label(id) {
    const label = document.querySelector(`label[for="${CSS.escape(id)}"]`);
    return label ? label.textContent.trim() : "";
  }

  listen() {
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search(), WAIT);
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => setTimeout(() => this.leave(), 150));
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) this.choose(this.options[Number(item.dataset.index)]);
    });
    // A draft that is put back changes the hidden field.
    this.field.addEventListener("draft:restored", () => {
      const names = this.names();
      this.chosen = this.field.value.split(",").filter(Boolean).map((value) => ({ value, label: names[value] || value }));
      this.show();
    });
  }

  key(event) {
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) this.search();
      else this.point(this.active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && open && this.active >= 0) {
      event.preventDefault();
      this.choose(this.options[this.active]);
    } else if (event.key === "Enter" && this.input.value && !this.settled()) {
      event.preventDefault(); // the search is still going: do not send half a name
    } else if (event.key === "Escape" && (open || this.input.value)) {
      event.preventDefault();
      this.close();
      this.settle();
    } else if (event.key === "Backspace" && this.multiple && !this.input.value && this.chosen.length) {
      this.remove(this.chosen.at(-1));
    }
  }

  settled() {
    return !this.multiple && this.chosen.length === 1 && this.input.value === this.chosen[0].label;
  }

  async search() {
    const text = this.input.value.trim();
    if (this.settled()) return;
    if (!text && this.multiple) return this.close();
    if (this.request) this.request.abort();
    this.request = new AbortController();
    this.status.textContent = this.text.textSearching;
    const url = new URL(this.text.url, location.href);
    url.searchParams.set("q", text);
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, signal: this.request.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      this.offer(await answer.json());
    } catch (error) {
      if (error.name === "AbortError") return;
      this.close();
      this.status.textContent = this.text.textFailed;
    }
  }

  offer(answer) {
    const taken = new Set(this.multiple ? this.chosen.map((unit) => unit.value) : []);
    this.options = answer.results.filter((unit) => !taken.has(unit.value));
    this.list.replaceChildren(...this.options.map((unit, index) => this.option(unit, index)));
    const none = this.options.length === 0;
    this.list.hidden = none;
    this.input.setAttribute("aria-expanded", String(!none));
    const found = this.text.textFound.replace("{n}", this.options.length);
    this.status.textContent = none ? this.text.textNone : answer.more ? `${found} ${this.text.textMore}` : found;
    this.point(none ? -1 : 0);
    if (!none) this.list.scrollIntoView({ block: "nearest" });
  }

  option(unit, index) {
    const item = this.make("li", "", { role: "option", id: `${this.list.id}-${index}`, "aria-selected": "false", "data-index": index });
    const name = document.createElement("span");
    name.textContent = unit.label;
    const where = document.createElement("small");
    where.textContent = unit.detail || "";
    item.append(name, where);
    return item;
  }

  point(index) {
    const items = this.list.children;
    this.active = items.length ? (index + items.length) % items.length : -1;
    Array.from(items).forEach((item, i) => item.setAttribute("aria-selected", String(i === this.active)));
    if (this.active < 0) return this.input.removeAttribute("aria-activedescendant");
    this.input.setAttribute("aria-activedescendant", items[this.active].id);
    items[this.active].scrollIntoView({ block: "nearest" });
  }

  choose(unit) {
    this.chosen = this.multiple ? [...this.chosen, unit] : [unit];
    this.input.value = "";
    this.close();
    this.show();
    this.changed();
    this.status.textContent = this.text.textChosen.replace("{name}", unit.label);
    this.input.focus();
  }

  remove(unit) {
    this.chosen = this.chosen.filter((other) => other.value !== unit.value);
    this.show();
    this.changed();
    this.input.focus();
  }

  // Names of all that was ever chosen here, for the draft: a code alone tells nobody anything.
  names() {
    return JSON.parse(this.field.dataset.labels || "{}");
  }

  remember() {
    const chosen = Object.fromEntries(this.chosen.map((unit) => [unit.value, unit.label]));
    this.field.dataset.labels = JSON.stringify({ ...this.names(), ...chosen });
  }

  changed() {
    this.remember();
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    this.field.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // What is written agrees with what is chosen: an emptied field chooses nothing, half a name goes back.
  settle() {
    if (this.multiple) { this.input.value = ""; return; }
    if (!this.input.value.trim() && this.chosen.length) { this.chosen = []; this.show(); this.changed(); }
    this.input.value = this.chosen.length ? this.chosen[0].label : "";
  }

  leave() {
    clearTimeout(this.timer);
    if (this.request) this.request.abort();
    this.close();
    this.settle();
    this.status.textContent = "";
  }

  close() {
    this.list.hidden = true;
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  show() {
    this.field.value = this.chosen.map((unit) => unit.value).join(",");
    this.tags.hidden = !this.multiple || !this.chosen.length;
    if (!this.multiple) { this.tags.replaceChildren(); this.input.value = this.chosen.length ? this.chosen[0].label : ""; return; }
    this.tags.replaceChildren(...this.chosen.map((unit) => this.tag(unit)));
  }

  tag(unit) {
    const item = this.make("li", "portal-tag", {});
    const name = document.createElement("span");
    name.textContent = unit.label;
    const button = this.make("button", "", { type: "button", "aria-label": this.text.textRemove.replace("{name}", unit.label) });
    button.textContent = "\u00d7";
    button.addEventListener("click", () => this.remove(unit));
    item.append(name, button);
    return item;
  }
}

for (const box of document.querySelectorAll("[data-unit-picker]")) new UnitPicker(box);
