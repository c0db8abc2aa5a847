// Takes in the parts of a page as they change, and says when it cannot.
(() => {
  "use strict";
  const main = document.getElementById("main");
  const connection = document.getElementById("connection");
  const live = main && main.dataset.live;
  if (!live) return;

  // A part as the server wrote it: what people have opened since is no change.
  const written = new Map();
  const note = (part) => written.set(part.id, part.outerHTML);
  const parts = (root) => [...root.querySelectorAll("[data-part]")];
  parts(main).forEach(note);

  const isTyping = (part) => {
    const at = document.activeElement;
    return part.contains(at) && at.matches("input, textarea, select");
  };

  // What people did to a part stays: what they opened, how far they scrolled, where the keyboard is.
  const replace = (old, fresh) => {
    const opened = new Map([...old.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const scrolled = [...old.querySelectorAll(".wide")].map((one) => one.scrollLeft);
    const focused = old.contains(document.activeElement) && document.activeElement;
    const href = focused && focused.getAttribute("href");
    note(fresh);
    for (const one of fresh.querySelectorAll("details[id]")) {
      if (opened.has(one.id)) one.open = opened.get(one.id);
    }
    old.replaceWith(fresh);
    [...fresh.querySelectorAll(".wide")].forEach((one, i) => { one.scrollLeft = scrolled[i] || 0; });
    if (!focused) return;
    const again = (focused.id && document.getElementById(focused.id)) ||
      (href && fresh.querySelector(`[href="${CSS.escape(href)}"]`)) ||
      (focused.matches("summary") && focused.parentElement.id &&
        document.querySelector(`#${CSS.escape(focused.parentElement.id)} > summary`));
    if (again) again.focus({ preventScroll: true });
  };

  // Nothing is taken away from under a finger, nor out of what is being copied.
  let isPressed = false;
  let waiting;
  addEventListener("pointerdown", () => { isPressed = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, () => setTimeout(() => { isPressed = false; }), true);
  }
  const isInUse = () => {
    const selection = getSelection();
    return isPressed || (!selection.isCollapsed && main.contains(selection.anchorNode));
  };
  const offer = (html) => {
    waiting = html;
    if (!isInUse()) take();
  };

  const take = () => {
    const html = waiting;
    waiting = undefined;
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    const now = parts(fresh);
    const same = parts(main).map((part) => part.id).join() === now.map((part) => part.id).join();
    if (!same) {
      main.replaceChildren(...fresh.childNodes);
      parts(main).forEach(note);
    } else {
      for (const part of now) {
        const old = document.getElementById(part.id);
        if (written.get(part.id) !== part.outerHTML && !isTyping(old)) replace(old, part);
      }
    }
    const titled = main.querySelector("[data-title]");
    if (titled && document.title !== titled.dataset.title) {
      document.title = titled.dataset.title;
      document.getElementById("announced").textContent = document.title;
    }
  };

  const PATIENCE = 12000;
  const AGAIN = 1000;
  let seen = Date.now();
  let at = "";
  let source;

  const say = (text) => {
    if (connection.textContent !== text) connection.textContent = text;
    document.body.classList.toggle("lost", text !== "");
  };
  const heard = () => {
    seen = Date.now();
    at = new Date().toLocaleTimeString();
    say("");
  };
  const lost = () => say(`The connection is lost: this is how it was${at && ` at ${at}`}. It is tried again.`);

  const listen = () => {
    source = new EventSource(live);
    source.addEventListener("parts", (event) => { heard(); offer(event.data); });
    source.addEventListener("beat", heard);
    source.addEventListener("trouble", (event) => { seen = Date.now(); say(event.data); });
    source.onerror = () => {
      lost();
      // Of an answer that was none, the browser makes an end.
      setTimeout(() => {
        if (source.readyState === EventSource.CLOSED && !document.hidden) listen();
      }, AGAIN);
    };
  };
  // A network that swallows everything tells nobody.
  setInterval(() => {
    if (document.hidden) return;
    if (waiting !== undefined && !isInUse()) take();
    if (Date.now() - seen < PATIENCE || source.readyState === EventSource.CLOSED) return;
    lost();
    source.close();
    seen = Date.now();
    listen();
  }, AGAIN);
  // A browser has few connections to a server, and nobody looks at a tab that is hidden.
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (!document.hidden) listen();
  });
  listen();
})();
