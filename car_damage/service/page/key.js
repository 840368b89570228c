// The access key: where the tab keeps it, and the form that asks for it.

const STORED = "car-damage-key"; // where the tab keeps the access key

const form = document.querySelector("#key-form");
const field = document.querySelector("#key");

export const accessKey = () => sessionStorage.getItem(STORED);

// Whether the form waits for a key.
export const asksForKey = () => !form.hidden;

// Ask for a key after the service has refused this one, or none (null).
export function askForKey(refusedKey) {
  if (refusedKey !== accessKey()) return; // the user has entered another key in the meantime
  sessionStorage.removeItem(STORED);
  show(refusedKey !== null);
}

// Call `use` each time the user has entered a key.
export function onKey(use) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = field.value.trim();
    field.value = "";
    if (!/^[!-~]+$/.test(key)) { // keys have no other characters, and browsers refuse to send them
      show(true);
      return;
    }
    sessionStorage.setItem(STORED, key);
    form.hidden = true;
    use();
  });
}

function show(wrong) {
  form.hidden = false;
  document.querySelector("#key-wrong").hidden = !wrong;
  field.setAttribute("aria-invalid", String(wrong));
  field.focus();
}
