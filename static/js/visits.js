// "Add an opinion" on the form of a visit, without a round trip to the server.
//
// <fieldset data-rows="prefix" data-most="30"> with a list, a <template> of a blank row and the button. Rows that a kept
// draft of form-draft.js speaks of are made before that script fills them in, so this one comes first in the page.

for (const box of document.querySelectorAll("[data-rows]")) {
  const list = box.querySelector("[data-rows-list]");
  const blank = box.querySelector("template[data-rows-blank]");
  const button = box.querySelector("[data-rows-add]");
  const total = box.querySelector(`[name="${box.dataset.rows}-TOTAL_FORMS"]`);
  const most = Number(box.dataset.most);

  const add = () => {
    const number = Number(total.value);
    if (number >= most) return null;
    const holder = document.createElement("template");
    holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", String(number));
    const row = holder.content.firstElementChild;
    list.append(row);
    total.value = String(number + 1);
    button.hidden = number + 1 >= most;
    return row;
  };

  const kept = () => {
    const form = box.closest("form");
    if (!form.dataset.draftKey || form.querySelector("[data-error-summary]")) return 0;
    try {
      return Number(JSON.parse(localStorage.getItem(`draft:${form.dataset.draftKey}`)).values[total.name]) || 0;
    } catch {
      return 0;
    }
  };

  const wanted = Math.min(kept(), most);
  while (Number(total.value) < wanted && add());
  button.addEventListener("click", (event) => {
    event.preventDefault();
    const row = add();
    if (row) row.querySelector("input, select, textarea").focus();
    total.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
