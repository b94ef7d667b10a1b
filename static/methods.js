// Another way to sign in is another question: what was wrong with the one before is not wrong with it.
function forgetErrorsOfAnotherWay({ target }) {
  const form = target.closest(".methods")?.closest("form");
  const told = form?.querySelector(".notice.bad[role=alert]");
  if (!told) return;
  for (const field of form.querySelectorAll(".methods, [data-only-way] .wrong")) {
    field.classList.remove("wrong");
    field.querySelectorAll(".error").forEach((line) => line.remove());
    field.querySelectorAll("[aria-invalid]").forEach((control) => control.removeAttribute("aria-invalid"));
  }
  told.querySelectorAll("li").forEach((line) => {
    if (!form.querySelector(`${line.querySelector("a")?.hash || "#none"}[aria-invalid]`)) line.remove();
  });
  if (!told.querySelector("li")) told.remove();
}

document.addEventListener("change", forgetErrorsOfAnotherWay);
