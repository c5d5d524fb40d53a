// The shop's own events, sent through the API of the embedded script.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-track]");
  if (!link || !window.sluice) return;
  const { track, ...props } = link.dataset;
  window.sluice.track(track, props);
});

// Preferences: shown, and set by buttons. They are there from sluice:prefs on.
const show = () => {
  for (const output of document.querySelectorAll("[data-shows]")) {
    output.textContent = window.sluice?.prefs?.get(output.dataset.shows) ?? output.textContent;
  }
};
addEventListener("sluice:prefs", show);
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-prefers]");
  if (!button) return;
  window.sluice?.prefs?.set(button.dataset.prefers, button.value);
  show();
});
show();
