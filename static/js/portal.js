// Behaviour of the frame. Everything works without it; this makes it handier.

const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

// Menu on narrow screens: a link to the menu (:target) without JavaScript, a real toggle with it.
function menu() {
  const button = document.querySelector("[data-menu-toggle]");
  const panel = document.getElementById("portal-menu");
  if (!button || !panel) return;
  button.setAttribute("role", "button");
  button.setAttribute("aria-controls", panel.id);
  const show = (open) => {
    panel.classList.toggle("is-open", open);
    button.setAttribute("aria-expanded", String(open));
  };
  const close = () => { show(false); button.focus(); };
  show(false);
  button.addEventListener("click", (event) => {
    event.preventDefault();
    show(!panel.classList.contains("is-open"));
    if (panel.classList.contains("is-open")) panel.querySelector("a, summary").focus();
  });
  button.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); button.click(); } });
  panel.querySelector("[data-menu-close]").addEventListener("click", (event) => { event.preventDefault(); close(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel.classList.contains("is-open")) close();
  });
  document.addEventListener("click", (event) => {
    if (!panel.contains(event.target) && !button.contains(event.target)) show(false);
  });
}

// Which groups of the menu are folded is remembered for the visit.
function folds() {
  for (const group of all("details[data-fold]")) {
    const key = `fold:${group.dataset.fold}`;
    const kept = sessionStorage.getItem(key);
    if (kept !== null && !group.querySelector("[aria-current]")) group.open = kept === "open";
    group.addEventListener("toggle", () => sessionStorage.setItem(key, group.open ? "open" : "folded"));
  }
}

// Drop-downs close on Escape, on a click elsewhere, and when the focus leaves.
function drops() {
  const open = () => all("details[data-drop][open]");
  document.addEventListener("click", (event) => {
    for (const drop of open()) if (!drop.contains(event.target)) drop.open = false;
  });
  document.addEventListener("focusin", (event) => {
    for (const drop of open()) if (!drop.contains(event.target)) drop.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const drop of open()) { drop.open = false; drop.querySelector("summary").focus(); }
  });
}

// A row opens by a click anywhere in it; the link in it serves the keyboard, up and down go from row to row.
function rows() {
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (!row || event.target.closest("a, button, input, label, summary") || String(getSelection())) return;
    const link = row.querySelector("a[href]");
    if (!link) return;
    if (event.ctrlKey || event.metaKey) window.open(link.href, "_blank", "noopener");
    else link.click();
  });
  document.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (!row || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    const next = event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
    const link = next && next.querySelector("a[href]");
    if (link) { event.preventDefault(); link.focus(); }
  });
}

function messages() {
  for (const button of all("[data-dismiss]")) {
    button.hidden = false;
    button.addEventListener("click", () => button.closest("[data-dismissible]").remove());
  }
  const summary = document.querySelector("[data-error-summary]");
  if (summary) summary.focus();
}

// Long text grows with what is typed, where CSS alone cannot do it.
function growing() {
  if (CSS.supports("field-sizing", "content")) return;
  for (const area of all("textarea[data-autogrow]")) {
    const grow = () => { area.style.height = "auto"; area.style.height = `${area.scrollHeight + 2}px`; };
    area.addEventListener("input", grow);
    grow();
  }
}

// Forms that must not be sent twice (sign-in, confirmations); forms with a draft see to it themselves.
function once() {
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-once]");
    if (!form) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => { for (const form of all("form[data-sent]")) delete form.dataset.sent; });
}

// Filters fold on a phone, and leave empty ones out of the address.
function filters() {
  const narrow = matchMedia("(max-width: 767.98px)").matches;
  for (const fold of all("details[data-wide-open]")) if (narrow) fold.open = false;
  for (const form of all("form[data-lean]")) {
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of Array.from(event.formData)) if (value === "") event.formData.delete(name);
    });
  }
}

function files() {
  document.addEventListener("change", (event) => {
    const input = event.target.closest("[data-files] input[type=file]");
    const box = input && input.closest("[data-files]");
    if (box) check(box, input, box.querySelector("[data-file-list]"));
  });
}

function check(box, input, list) {
  const { maxBytes, maxFiles, accept, textTooBig, textType, textTooMany } = box.dataset;
  const chosen = Array.from(input.files);
  const endings = (accept || "").split(",").map((part) => part.trim().toLowerCase()).filter((part) => part.startsWith("."));
  const problems = [];
  const say = (text, css) => {
    const line = document.createElement("li");
    line.textContent = text;
    line.className = css;
    list.append(line);
  };
  list.replaceChildren();
  if (maxFiles && chosen.length > Number(maxFiles)) problems.push(textTooMany.replace("{n}", maxFiles));
  for (const file of chosen) {
    const typed = endings.length === 0 || endings.some((ending) => file.name.toLowerCase().endsWith(ending));
    if (!typed) problems.push(textType.replace("{name}", file.name));
    else if (maxBytes && file.size > Number(maxBytes)) problems.push(textTooBig.replace("{name}", file.name));
    else say(`${file.name} (${(file.size / 1048576).toFixed(1)} MB)`, "");
  }
  for (const problem of problems) say(problem, "portal-file-wrong");
  input.setCustomValidity(problems.join(" "));
  input.classList.toggle("is-invalid", problems.length > 0);
}

// Meeting-room mode: twice the type, no menu, arrow keys go from section to section.
function projector() {
  const button = document.querySelector("[data-projector]");
  const root = document.documentElement;
  const turn = (on) => {
    root.classList.toggle("projector", on);
    sessionStorage.setItem("projector", on ? "on" : "off");
    if (button) button.setAttribute("aria-pressed", String(on));
    dispatchEvent(new Event("resize"));
  };
  if (sessionStorage.getItem("projector") === "on") turn(true);
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      turn(!root.classList.contains("projector"));
      button.closest("details").open = false;
    });
  }
  document.addEventListener("keydown", (event) => {
    if (!root.classList.contains("projector") || event.target.closest("input, textarea, select")) return;
    if (event.key === "Escape") turn(false);
    if (["ArrowRight", "ArrowLeft"].includes(event.key)) page(event.key === "ArrowRight" ? 1 : -1);
  });
}

function page(step) {
  const sections = all(".portal-heading, .portal-tiles, .portal-section, .portal-records");
  const tops = sections.map((section) => section.getBoundingClientRect().top);
  const next = step > 0 ? tops.findIndex((top) => top > 8) : tops.findLastIndex((top) => top < -8);
  if (next >= 0) scrollBy({ top: tops[next], behavior: "smooth" });
}

// Drafts end with their form: the server names the key in a cookie or in the page, and signing out ends them all.
function drafts() {
  const drop = (key) => localStorage.removeItem(`draft:${key}`);
  const cookie = document.cookie.split("; ").find((part) => part.startsWith("clear_draft="));
  if (cookie) {
    drop(decodeURIComponent(cookie.slice("clear_draft=".length)));
    document.cookie = "clear_draft=; max-age=0; path=/; samesite=lax";
  }
  for (const mark of all("[data-clear-draft]")) drop(mark.dataset.clearDraft);
  for (const link of all("[data-drop-draft]")) link.addEventListener("click", () => drop(link.dataset.dropDraft));
  for (const form of all("form[data-clear-drafts]")) {
    form.addEventListener("submit", () => {
      for (const key of Object.keys(localStorage)) if (key.startsWith("draft:")) localStorage.removeItem(key);
    });
  }
}

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector("meta[name=csrf-token]");
  if (token && event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = token.content;
  if (event.detail.elt.matches("form[data-lean]")) {
    for (const [name, value] of Object.entries(event.detail.parameters)) if (value === "") delete event.detail.parameters[name];
  }
});

for (const part of [menu, folds, drops, rows, messages, growing, once, filters, files, projector, drafts]) part();
