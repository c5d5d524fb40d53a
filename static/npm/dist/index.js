'use client';

// static/npm/src/index.ts
import { createElement, useSyncExternalStore } from "react";
function SluiceScript({ site, base = "/_s", lang, pageviews = true, measure, prefs, nonce }) {
  return createElement("script", {
    async: true,
    src: base + "/s.js",
    nonce,
    "data-site": site,
    "data-lang": lang,
    "data-pageviews": pageviews ? void 0 : "off",
    "data-measure": measure,
    "data-prefs": prefs ? "" : void 0,
    "data-cfasync": "false",
    nowprocket: "",
    "data-no-optimize": "1",
    "data-no-defer": "1"
  });
}
function useConsent() {
  return useSyncExternalStore(subscribe, snapshot, () => none);
}
var none = of(null, false);
var last = none;
var ready = false;
function of(consent, ready2) {
  return {
    consent,
    ready: ready2,
    granted: (name) => name === "essential" || !!consent && (consent.purposes.includes(name) || consent.services.includes(name)),
    open: () => window.sluice?.open(),
    track: (name, props, extra) => window.sluice?.track(name, props, extra)
  };
}
function snapshot() {
  const consent = window.sluice?.consent ?? null;
  if (consent !== last.consent || ready !== last.ready) last = of(consent, ready);
  return last;
}
function subscribe(changed) {
  let live = true;
  const read = () => void window.sluice?.ready.then(() => {
    ready = true;
    if (live) changed();
  });
  const loaded = () => {
    if (!window.sluice) return;
    document.removeEventListener("load", loaded, true);
    read();
  };
  if (window.sluice) read();
  else document.addEventListener("load", loaded, true);
  addEventListener("sluice:change", changed);
  return () => {
    live = false;
    document.removeEventListener("load", loaded, true);
    removeEventListener("sluice:change", changed);
  };
}
export {
  SluiceScript,
  useConsent
};
