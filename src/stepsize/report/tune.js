// What a reader can do with the page of a recommendation: copy code, follow an arm.
"use strict";
(() => {
  // A button in front of everything that is to be pasted.
  for (const lines of document.querySelectorAll("pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", () => copy(lines, button));
    lines.before(button);
  }

  async function copy(lines, button) {
    try {
      await navigator.clipboard.writeText(lines.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(lines); // the reader's own keys do the rest
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  }

  // Pointing at an arm in the table or in the picture shows it in both.
  const parts = document.querySelectorAll("[data-arm]");
  for (const part of parts) {
    for (const [event, on] of [["pointerenter", true], ["pointerleave", false]]) {
      part.addEventListener(event, () => {
        for (const other of parts) {
          other.classList.toggle("lit", on && other.dataset.arm === part.dataset.arm);
        }
      });
    }
  }
})();
