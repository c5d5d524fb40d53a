// What gtag.js does with consent and cookies, as far as a page can tell
// (facts: support.google.com/analytics/answer/11397207 and 9976101): it obeys
// Consent Mode and ga-disable-<ID>, sends a hit with each event, writes _ga and
// _ga_<ID>, and writes the latter once more when the page is left.
(() => {
  const id = new URL(document.currentScript.src).searchParams.get('id');
  const consent = {};
  window.google_tag_manager = { [id]: {} };
  window.log = [];
  const allowed = () => consent.analytics_storage === 'granted' && window['ga-disable-' + id] !== true;
  const write = () => {
    if (!allowed()) return;
    document.cookie = '_ga=GA1.1.1.2; path=/';
    document.cookie = `_ga_${id.slice(2)}=GS2.1.s1$o1; path=/`;
  };
  function command(c) {
    if (c[0] === 'consent') {
      Object.assign(consent, c[2]);
      log.push(`${c[1]} ${window['ga-disable-' + id] === true ? 'off' : 'on'}`);
    } else if (c.event) log.push(c.event);
    else if (c[0] === 'event' && allowed()) fetch('/hit?' + c[1]);
    write();
  }
  const queue = window.dataLayer;
  queue.forEach(command);
  const push = queue.push;
  queue.push = (...all) => {
    all.forEach(command);
    return push.apply(queue, all);
  };
  addEventListener('pagehide', write);
})();
