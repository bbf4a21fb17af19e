// Dark or light: as the system has it, until the button is pressed. What was chosen lasts.

const KEY = "unring-theme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

const chosen = () => {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // the browser keeps nothing for this page
  }
};
const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

if (["dark", "light"].includes(chosen())) root.dataset.theme = chosen();

export function themeButton(button) {
  const draw = () => (button.textContent = isDark() ? "Light theme" : "Dark theme");
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(KEY, root.dataset.theme);
    } catch {
      // it lasts as long as the page does
    }
    draw();
  });
  system.addEventListener("change", draw);
  draw();
}
