// The shop's own events, sent through the API of the embedded script.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-track]");
  if (!link || !window.sluice) return;
  const { track, ...props } = link.dataset;
  window.sluice.track(track, props);
});
