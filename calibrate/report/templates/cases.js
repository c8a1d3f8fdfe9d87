"use strict";
// Only shows and hides what is on the page already; without it every case is there all the same.
(() => {
  const form = document.getElementById("filters");
  const cases = [...document.querySelectorAll("details.case")];
  const groups = [...document.querySelectorAll("details.cases")];
  const shown = document.getElementById("shown");
  const texts = new Map();
  const textOf = (one) => {
    if (!texts.has(one)) texts.set(one, one.textContent.toLowerCase());
    return texts.get(one);
  };
  const apply = () => {
    const traits = [...form.querySelectorAll("input:checked")].map((box) => box.value);
    const slice = form.elements.slice ? form.elements.slice.value : "";
    const text = form.elements.text.value.trim().toLowerCase();
    const isFiltered = traits.length > 0 || slice !== "" || text !== "";
    let left = 0;
    for (const one of cases) {
      const own = one.dataset.traits.split(" ");
      const fits =
        traits.every((trait) => own.includes(trait)) &&
        (slice === "" || one.dataset.slices.split(" ").includes(slice)) &&
        (text === "" || textOf(one).includes(text));
      one.hidden = !fits;
      left += fits;
    }
    for (const group of groups) {
      group.hidden = !group.querySelector(".case:not([hidden])");
      if (isFiltered) group.open = true;
    }
    shown.textContent = isFiltered ? `${left} of ${cases.length} cases` : `${cases.length} cases`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  form.hidden = false;
  apply();
})();
