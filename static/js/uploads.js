// Spreadsheets: one can be dragged onto the page, the page tells how much of it has been sent, and follows the work on it.
// Without this it is a form with a file field, and pages that are loaded again.

const ATTENDED = 10 * 60 * 1000;
const form = () => document.querySelector("form[data-spreadsheet]");
const part = (name) => form() && form().querySelector(`[data-${name}]`);

// --- dragging ---

function take(files) {
  const input = form().querySelector("input[type=file]");
  const one = new DataTransfer();
  one.items.add(files[0]);
  input.files = one.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  form().querySelector("button[type=submit]").focus();
}

const holdsFiles = (event) => form() && event.dataTransfer && Array.from(event.dataTransfer.types).includes("Files");
const mark = (on) => part("drop-area").classList.toggle("is-over", on);

// Wherever on the page it is dropped: beside the field, the browser would leave the page and open the file.
addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(true);
});
addEventListener("dragleave", (event) => { if (holdsFiles(event) && !event.relatedTarget) mark(false); });
addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(false);
  if (event.dataTransfer.files.length) take(event.dataTransfer.files);
});

function showHint() {
  const hint = part("drop-hint");
  if (hint) hint.hidden = false;
}

// --- sending ---

// What portal.js found wrong with the file is said before anything is sent.
document.addEventListener("submit", (event) => {
  const input = event.target === form() && form().querySelector("input[type=file]");
  if (!input || !input.validity.customError) return;
  event.preventDefault();
  event.stopPropagation();
  input.focus();
}, { capture: true });

const isSending = (event) => event.detail.elt === form() && event.detail.elt;

function tell(percent) {
  part("sending").hidden = false;
  part("sending").querySelector("progress").value = percent;
  part("sent").textContent = `${percent} %`;
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!isSending(event)) return;
  part("failed").hidden = true;
  tell(0);
});
document.addEventListener("htmx:xhr:progress", (event) => {
  const { elt, lengthComputable, loaded, total } = event.detail;
  if (elt === form() && lengthComputable && total && !part("sending").hidden) tell(Math.floor((100 * loaded) / total));
});
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    if (!isSending(event)) return;
    part("sending").hidden = true;
    part("failed").textContent = form().dataset.textFailed;
    part("failed").hidden = false;
  });
}

// --- following ---

let touched = Date.now();
for (const name of ["pointermove", "pointerdown", "keydown", "scroll", "focus"]) {
  addEventListener(name, () => { touched = Date.now(); }, { passive: true, capture: true });
}

// Nothing is asked while the tab is hidden, nor once nobody has touched the page for a while: sessions end of neglect.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.detail.elt.matches("[data-follow]")) return;
  if (document.hidden || Date.now() - touched > ATTENDED) event.preventDefault();
});

// Signed out meanwhile: the answer is another page, which is not put into this one.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, pathInfo } = event.detail;
  if (!xhr.responseURL || new URL(xhr.responseURL).pathname === new URL(pathInfo.requestPath, location.href).pathname) return;
  event.detail.shouldSwap = false;
  location.reload();
});

document.addEventListener("htmx:load", showHint);
showHint();
