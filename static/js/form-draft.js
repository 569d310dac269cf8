// Nothing typed is ever lost: a form's draft lives in this browser until the server says the record is saved.
//
// <form data-draft-key="person:kind:record" data-ping-url="…" data-text-sending="…"> with a hidden `submission_key`.
// The draft keeps the submission key too, so that a form sent again after a lost answer makes one record.
// Never kept: passwords, files, the csrf token, and whatever is marked data-draft-skip (sensitive fields).
// The draft ends when the server names its key (see drafts() in portal.js), at sign-out, or after a week.

const WEEK = 7 * 24 * 3600 * 1000;
const RETRY = 5000;
const PATIENCE = 8000;

class DraftForm {
  constructor(form) {
    this.form = form;
    this.key = form.dataset.draftKey ? `draft:${form.dataset.draftKey}` : "";
    this.dirty = false;
    this.sending = false;
    this.kept = form.querySelector("[data-draft-kept]");
    this.restored = form.querySelector("[data-draft-notice]");
    this.offline = form.querySelector("[data-offline-notice]");
    this.first = this.values();
    if (this.key) this.restore();
    this.listen();
  }

  fields() {
    return Array.from(this.form.elements).filter(
      (field) => field.name && !["password", "file", "submit", "button"].includes(field.type)
        && field.name !== "csrfmiddlewaretoken" && field.name !== "version" && !("draftSkip" in field.dataset),
    );
  }

  // One entry a name: text, or for choices the values that are on.
  values() {
    const values = {};
    for (const field of this.fields()) {
      if (field.type === "radio" || field.type === "checkbox") {
        values[field.name] = values[field.name] || [];
        if (field.checked) values[field.name].push(field.value);
      } else if (field.type === "select-multiple") {
        values[field.name] = Array.from(field.selectedOptions, (option) => option.value);
      } else {
        values[field.name] = field.value;
      }
    }
    return values;
  }

  labels() {
    const named = this.fields().filter((field) => field.dataset.labels);
    return Object.fromEntries(named.map((field) => [field.name, field.dataset.labels]));
  }

  store() {
    if (!this.key) return;
    const version = this.form.elements.namedItem("version");
    const files = Array.from(this.form.querySelectorAll("input[type=file]")).some((input) => input.files.length);
    const draft = { at: Date.now(), version: version ? version.value : "", values: this.values(), labels: this.labels(), files };
    try {
      localStorage.setItem(this.key, JSON.stringify(draft));
      if (this.kept) this.kept.hidden = false;
    } catch {
      if (this.kept) this.kept.hidden = true; // full or forbidden: the warning on leaving still stands
    }
  }

  read() {
    try {
      const draft = JSON.parse(localStorage.getItem(this.key));
      if (!draft || Date.now() - draft.at > WEEK) return null;
      return draft;
    } catch {
      return null;
    }
  }

  restore() {
    const draft = this.read();
    if (!draft) { localStorage.removeItem(this.key); return; }
    // A form that came back with errors holds what was typed already; a draft of an older version would hide the news.
    const version = this.form.elements.namedItem("version");
    if (this.form.querySelector("[data-error-summary]") || (version && version.value !== draft.version)) return;
    if (this.same(draft.values)) return;
    this.put(draft);
    this.dirty = true;
    if (!this.restored) return;
    this.restored.hidden = false;
    this.restored.querySelector("[data-draft-at]").textContent = new Date(draft.at).toLocaleString(document.documentElement.lang);
    this.restored.querySelector("[data-draft-files]").hidden = !draft.files;
  }

  same(values) {
    const now = this.values();
    return Object.entries(values).every(([name, value]) => name === "submission_key" || JSON.stringify(now[name]) === JSON.stringify(value));
  }

  put(draft) {
    for (const field of this.fields()) {
      const value = draft.values[field.name];
      if (value === undefined) continue;
      if (field.type === "radio" || field.type === "checkbox") field.checked = value.includes(field.value);
      else if (field.type === "select-multiple") for (const option of field.options) option.selected = value.includes(option.value);
      else field.value = value;
      if (draft.labels && draft.labels[field.name]) {
        const names = { ...JSON.parse(field.dataset.labels || "{}"), ...JSON.parse(draft.labels[field.name]) };
        field.dataset.labels = JSON.stringify(names);
      }
      field.dispatchEvent(new Event("draft:restored"));
    }
  }

  discard() {
    localStorage.removeItem(this.key);
    this.put({ values: this.first });
    this.dirty = false;
    this.restored.hidden = true;
    if (this.kept) this.kept.hidden = true;
    const field = this.fields().find((one) => one.type !== "hidden");
    if (field) field.focus();
  }

  listen() {
    const changed = () => {
      this.dirty = true;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.store(), 400);
    };
    this.form.addEventListener("input", changed);
    this.form.addEventListener("change", changed);
    this.form.addEventListener("submit", (event) => this.submit(event));
    addEventListener("pagehide", () => { if (this.dirty) this.store(); });
    addEventListener("beforeunload", (event) => { if (this.dirty && !this.sending) event.preventDefault(); });
    addEventListener("pageshow", () => this.calm());
    addEventListener("online", () => { if (this.waiting) this.attempt(); });
    if (this.restored) this.restored.querySelector("[data-draft-discard]").addEventListener("click", () => this.discard());
    if (this.offline) {
      this.offline.querySelector("[data-offline-retry]").addEventListener("click", () => this.attempt());
      this.offline.querySelector("[data-offline-stop]").addEventListener("click", () => this.stop());
    }
    for (const link of this.form.querySelectorAll("[data-leave]")) {
      link.addEventListener("click", () => { if (this.key) localStorage.removeItem(this.key); this.dirty = false; });
    }
  }

  submit(event) {
    if (this.ready) return; // the portal answered: let the browser send it
    event.preventDefault();
    if (this.sending) return;
    const wrong = Array.from(this.form.querySelectorAll("input[type=file]")).find((input) => input.validationMessage && input.files.length);
    if (wrong) { wrong.focus(); return; }
    this.button = event.submitter;
    if (this.dirty) this.store();
    this.attempt();
  }

  // Ask whether the portal answers before handing the page over: a browser's own error page would take the form away.
  async attempt() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.again);
    this.busy(true);
    const reached = await this.reachable();
    if (!reached) return this.wait();
    this.waiting = false;
    this.ready = true;
    if (this.offline) this.offline.hidden = true;
    this.form.requestSubmit(this.button || undefined);
    // The button carries its value; it is put out of use only once the browser has taken the form.
    setTimeout(() => { for (const button of this.buttons()) button.disabled = true; }, 0);
  }

  async reachable() {
    if (!navigator.onLine) return false;
    const url = this.form.dataset.pingUrl;
    if (!url) return true;
    try {
      const answer = await fetch(url, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      return answer.status < 500;
    } catch {
      return false;
    }
  }

  wait() {
    this.sending = false;
    this.waiting = true;
    this.busy(false);
    if (this.offline && this.offline.hidden) {
      this.offline.hidden = false;
      this.offline.scrollIntoView({ block: "center" });
    }
    this.again = setTimeout(() => { if (this.waiting) this.attempt(); }, RETRY);
  }

  stop() {
    this.waiting = false;
    clearTimeout(this.again);
    this.offline.hidden = true;
  }

  buttons() {
    return Array.from(this.form.querySelectorAll("button[type=submit]"));
  }

  busy(on) {
    for (const button of this.buttons()) button.setAttribute("aria-disabled", String(on));
    if (!this.button) return;
    this.label = this.label || this.button.lastChild.textContent;
    this.button.lastChild.textContent = on ? this.form.dataset.textSending || this.label : this.label;
  }

  // Back from the next page: the form can be sent again.
  calm() {
    this.sending = false;
    this.ready = false;
    for (const button of this.buttons()) { button.disabled = false; button.removeAttribute("aria-disabled"); }
    if (this.button && this.label) this.button.lastChild.textContent = this.label;
  }
}

for (const form of document.querySelectorAll("form[data-draft-key], form[data-ping-url]")) new DraftForm(form);
