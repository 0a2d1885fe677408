// The dashboard's behaviour: it fetches what the scheduler renders, again when something happens and now and then
// besides; it shows the events; it asks for another number of workers. Every address is relative to the page's.
"use strict";
(() => {
  const SOON = 400; // ms after an event, so that many events are one question
  const POLL = 10000; // ms between two questions when nothing happens
  const RETRY = 2000; // ms after a stream was cut
  const MOST_EVENTS = 200;
  const KEY = "alluxio-mesos-token";
  const at = (id) => document.getElementById(id);

  // Asking ----------------------------------------------------------------------------------------------------------

  const token = () => sessionStorage.getItem(KEY) || "";

  // The answer; null when the page goes elsewhere. A scheduler that does not lead any more sends this page to the one that does.
  async function ask(path, more = {}) {
    const headers = { ...(token() ? { Authorization: `Bearer ${token()}` } : {}), ...more.headers };
    const answer = await fetch(path, { cache: "no-store", credentials: "same-origin", redirect: "manual", ...more, headers });
    if (answer.type === "opaqueredirect") {
      location.assign("./");
      return null;
    }
    return answer;
  }

  async function said(answer) {
    try {
      const problem = await answer.json();
      return problem.errors ? problem.errors.join("; ") : problem.detail;
    } catch {
      return `HTTP ${answer.status}`;
    }
  }

  // What is shown -----------------------------------------------------------------------------------------------------

  let tag = "";
  let headline = "";

  const clock = (moment) => moment.toLocaleTimeString([], { hourCycle: "h23" });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time")) {
      time.textContent = clock(new Date(time.dateTime));
    }
  }

  // Only what changed is replaced: focus, selection and a reader's place stay where they are.
  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    localTimes(fresh);
    const focused = document.activeElement;
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = at(part.id);
      if (!old) {
        at(part.dataset.part).append(document.importNode(part, true));
      } else if (old.outerHTML !== part.outerHTML) {
        old.replaceWith(document.importNode(part, true));
      }
    }
    if (focused && !focused.isConnected && focused.href) {
      const again = [...document.querySelectorAll("a")].find((link) => link.href === focused.href);
      if (again) again.focus();
    }
    const verdict = at("verdict");
    at("service").textContent = verdict.dataset.service;
    at("scale-title").textContent = "grouped" in verdict.dataset ? "Scale the workers of the default group" : "Scale the workers";
    const told = at("verdict-title").textContent.trim();
    const mark = { good: "✓", busy: "◐", bad: "▲" }[verdict.dataset.tone] || "";
    document.title = `${mark} ${verdict.dataset.service} – ${told}`;
    if (told !== headline) at("announce").textContent = told;
    headline = told;
  }

  function state(tone, text) {
    at("link").dataset.tone = tone;
    at("link").textContent = text;
  }

  function notice(text) {
    at("notice").hidden = !text;
    if (at("notice").textContent !== text) at("notice").textContent = text;
    for (const place of ["view", "below"]) at(place).classList.toggle("stale", Boolean(text));
  }

  function askForToken(wrong) {
    at("token").hidden = false;
    for (const place of ["view", "below"]) at(place).replaceChildren();
    at("rest").hidden = true;
    at("forget").hidden = true;
    at("service").textContent = "";
    tag = "";
    state("idle", "No token");
    notice(wrong ? "This token is not valid here; give another one." : "");
    at("token-text").focus();
  }

  let shownAt = "";
  let refreshing = false;
  let again = false;

  async function refresh() {
    if (!at("token").hidden) return;
    if (refreshing) {
      again = true;
      return;
    }
    refreshing = true;
    try {
      const answer = await ask("v1/dashboard", { headers: tag ? { "If-None-Match": tag } : {} });
      if (!answer) return;
      if (answer.status === 401) {
        const wrong = Boolean(token());
        sessionStorage.removeItem(KEY);
        askForToken(wrong);
        return;
      }
      if (answer.ok) {
        const html = await answer.text();
        tag = answer.headers.get("ETag") || "";
        show(html);
        if (at("rest").hidden) await begin();
      } else if (answer.status !== 304) {
        throw new Error(await said(answer));
      }
      shownAt = clock(new Date());
      state("good", "Live");
      notice("");
    } catch (error) {
      const why = error instanceof TypeError ? "The scheduler does not answer" : error.message;
      state("bad", "Not live");
      notice(`${why}.${shownAt ? ` What is shown was so at ${shownAt}.` : ""} This page asks again by itself.`);
    } finally {
      refreshing = false;
      if (again) {
        again = false;
        soon();
      }
    }
  }

  let timer = 0;
  function soon() {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      refresh();
    }, SOON);
  }

  // Events -------------------------------------------------------------------------------------------------------------

  let last = "";
  let stream = null;

  function happened(event) {
    const time = document.createElement("time");
    const moment = new Date(event.at * 1000);
    time.dateTime = moment.toISOString();
    time.textContent = clock(moment);
    const text = document.createElement("span");
    text.textContent = event.text;
    const item = document.createElement("li");
    item.append(time, text);
    at("events").prepend(item);
    while (at("events").children.length > MOST_EVENTS) at("events").lastChild.remove();
    at("no-events").hidden = true;
  }

  // The browser's own EventSource can send no token.
  async function listen() {
    stream = new AbortController();
    const mine = stream;
    try {
      const answer = await ask("v1/events", {
        headers: { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) },
        signal: mine.signal,
      });
      if (answer && answer.ok) {
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = "";
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          const blocks = (rest + value).split("\n\n");
          rest = blocks.pop();
          for (const block of blocks) {
            const data = block.split("\n").find((line) => line.startsWith("data:"));
            if (!data) continue;
            const event = JSON.parse(data.slice(5));
            last = String(event.number);
            happened(event);
            soon();
          }
        }
      }
    } catch {
      // The stream was cut; the question for the view says what is wrong.
    }
    if (mine === stream && !mine.signal.aborted) {
      soon();
      setTimeout(listen, RETRY);
    }
  }

  // Scaling ------------------------------------------------------------------------------------------------------------

  let version = null; // the ETag of what the preview is about
  let wanted = null;

  const names = (list) => list.map((entry) => (typeof entry === "string" ? entry : entry.slot)).join(", ");

  const bytes = (count) => {
    let unit = 0;
    for (; count >= 1000 && unit < 4; unit += 1) count /= 1024;
    return `${count >= 100 || unit === 0 ? Math.round(count) : Number(count.toPrecision(3))} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
  };

  function answerScale(tone, lines) {
    const box = at("scale-answer");
    box.dataset.tone = tone;
    box.replaceChildren(
      ...lines.map((line) => {
        const paragraph = document.createElement("p");
        paragraph.textContent = line;
        return paragraph;
      }),
    );
  }

  function setCount(count) {
    at("every").checked = count === "all";
    at("count").disabled = at("fewer").disabled = at("more").disabled = count === "all";
    if (count !== "all") at("count").value = count;
  }

  const headed = () => (version ? { "Content-Type": "application/json", "If-Match": version } : { "Content-Type": "application/json" });

  async function put(dry) {
    const body = JSON.stringify({ count: wanted });
    return ask(`v1/workers${dry ? "?dry_run=true" : ""}`, { method: "PUT", headers: headed(), body });
  }

  async function readWorkers(first) {
    const answer = await ask("v1/workers", { headers: { Accept: "application/json" } });
    if (!answer || !answer.ok) return false;
    version = answer.headers.get("ETag");
    const found = await answer.json();
    if (first) setCount(found.count);
    return true;
  }

  function close() {
    at("scale-confirm").hidden = true;
    at("apply").disabled = false;
  }

  async function preview() {
    close();
    wanted = at("every").checked ? "all" : Number(at("count").value);
    try {
      await readWorkers(false);
      const answer = await put(true);
      if (!answer) return;
      if (!answer.ok) {
        answerScale("bad", [await said(answer)]);
        return;
      }
      const plan = await answer.json();
      const lines = [`From ${plan.before} to ${plan.count}.`];
      if (plan.start.length) lines.push(`Would start: ${names(plan.start)}.`);
      if (plan.stop.length) {
        const held = plan.stop.reduce((sum, worker) => sum + (worker.used_bytes || 0), 0);
        lines.push(`Would stop: ${names(plan.stop)}, which hold ${bytes(held)} of cache. What is not persisted yet is persisted first.`);
      }
      if (!plan.start.length && !plan.stop.length) lines.push("Nothing would change.");
      if (plan.missing) lines.push(`${plan.missing} would have to wait: ${plan.why}`);
      answerScale("idle", lines);
      at("scale-confirm").hidden = false;
      at("apply").focus();
    } catch {
      answerScale("bad", ["The scheduler does not answer; try again."]);
    }
  }

  async function apply() {
    at("apply").disabled = true;
    try {
      const answer = await put(false);
      if (!answer) return;
      close();
      if (answer.status === 412) {
        answerScale("bad", ["Somebody else changed the number meanwhile. Look at the preview again."]);
      } else if (!answer.ok) {
        answerScale("bad", [await said(answer)]);
      } else {
        const done = await answer.json();
        setCount(done.count);
        answerScale("good", [`${done.count === "all" ? "One worker on each agent is" : `${done.count} ${done.count === 1 ? "worker is" : "workers are"}`} wanted now.`]);
        at("preview").focus();
      }
      soon();
    } catch {
      close();
      answerScale("bad", ["The scheduler does not answer. Look whether it took the change before you try again."]);
    }
  }

  function step(by) {
    const count = Math.max(0, (Number(at("count").value) || 0) + by);
    at("count").value = count;
    close();
  }

  // Beginning ----------------------------------------------------------------------------------------------------------

  async function begin() {
    at("rest").hidden = false;
    at("forget").hidden = !token();
    if (stream) stream.abort();
    listen();
    at("scale").hidden = !(await readWorkers(true));
  }

  at("token").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, at("token-text").value.trim());
    at("token-text").value = "";
    at("token").hidden = true;
    notice("");
    refresh();
  });
  at("forget").addEventListener("click", () => {
    sessionStorage.removeItem(KEY);
    if (stream) stream.abort();
    at("events").replaceChildren();
    last = "";
    headline = "";
    askForToken(false);
  });
  at("scale-form").addEventListener("submit", (event) => {
    event.preventDefault();
    preview();
  });
  at("fewer").addEventListener("click", () => step(-1));
  at("more").addEventListener("click", () => step(1));
  at("count").addEventListener("input", close);
  at("every").addEventListener("change", () => {
    setCount(at("every").checked ? "all" : at("count").value || 0);
    close();
  });
  at("apply").addEventListener("click", apply);
  at("cancel").addEventListener("click", () => {
    close();
    answerScale("idle", []);
    at("preview").focus();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
  setInterval(() => {
    if (!document.hidden) refresh();
  }, POLL);
  refresh();
})();
