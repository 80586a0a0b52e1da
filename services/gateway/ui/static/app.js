// What the pages do beside links and forms: polling, charts, the theme, uploads.
"use strict";
(() => {
  const POLL_MS = 2000;
  const root = document.documentElement;

  // --- Polling: only while the page is looked at, and not once what is shown has ended.
  const last = new WeakMap();

  function poll() {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("[data-poll]")) {
      if (element.closest("details:not([open])")) continue;
      const selection = document.getSelection();
      const reading = selection && !selection.isCollapsed && element.contains(selection.anchorNode);
      if (!element.querySelector("[data-ended]") && !reading) htmx.trigger(element, "poll");
    }
  }

  document.addEventListener("visibilitychange", poll);
  document.addEventListener("toggle", poll, true);
  document.addEventListener("htmx:beforeRequest", (event) => {
    const element = event.detail.elt;
    if (!element.hasAttribute("data-poll")) return;
    if (element.dataset.asking) event.preventDefault();
    else element.dataset.asking = "yes";
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt: element, xhr } = event.detail;
    delete element.dataset.asking;
    const offline = document.getElementById("offline");
    if (event.detail.successful) {
      offline.hidden = true;
    } else {
      const problem = xhr.status ? `The gateway answered ${xhr.status}` : "The gateway does not answer";
      offline.textContent = `${problem}; what you see may be old. Trying again.`;
      offline.hidden = false;
    }
  });
  // What has not changed stays as it is: focus, scrolling and screen readers are left in peace.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (new URL(xhr.responseURL).pathname === "/ui/login") {  // the token has expired
      event.detail.shouldSwap = false;
      location.reload();
      return;
    }
    if (last.get(target) === xhr.responseText) event.detail.shouldSwap = false;
    else last.set(target, xhr.responseText);
    if (event.detail.shouldSwap) keepOpen(target);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    reopen(event.detail.target);
    drawAll();
    sayState();
  });

  // Opened details and scrolled boxes stay so over a swap.
  let opened = [];
  let scrolled = [];
  function keepOpen(target) {
    opened = [...target.querySelectorAll("details[id][open]")].map((d) => d.id);
    scrolled = [...target.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  }
  function reopen(target) {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    const boxes = target.querySelectorAll(".scroll");
    if (boxes.length === scrolled.length) boxes.forEach((box, i) => { box.scrollLeft = scrolled[i]; });
    opened = [];
    scrolled = [];
  }

  // A change of state is said once, quietly.
  let said = document.querySelector("[data-state]")?.dataset.state;
  function sayState() {
    const now = document.querySelector("[data-state]")?.dataset.state;
    if (now && now !== said) {
      said = now;
      document.getElementById("says").textContent = now;
    }
  }

  // --- Charts: options come as data; colours are looked up in the style sheet.
  const charts = new Map();
  const thousands = (value) => (typeof value === "number" ? value.toLocaleString("en") : value);

  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = name;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  // Options with colours in place of "var(--x)", and functions where data cannot say what is meant.
  function finished(value, known) {
    if (Array.isArray(value)) return value.map((v) => finished(v, known));
    if (typeof value === "string" && value.startsWith("var(--")) {
      if (!known.has(value)) known.set(value, colour(value));
      return known.get(value);
    }
    if (value === null || typeof value !== "object") return value;
    const done = {};
    for (const [name, part] of Object.entries(value)) done[name] = finished(part, known);
    if (done.ticks) {
      const ticks = done.ticks;
      const label = { customValues: Object.keys(ticks).map(Number), formatter: (v) => ticks[String(v)] ?? "" };
      done.axisLabel = { ...label, hideOverlap: true };
      done.axisTick = { customValues: label.customValues };
    }
    if (done.thousands) done.axisLabel = { formatter: thousands, hideOverlap: true };
    return done;
  }

  function themed(options) {
    const known = new Map();
    const text = colour("var(--text)");
    const faint = colour("var(--muted)");
    const line = colour("var(--line)");
    const axis = {
      axisLine: { lineStyle: { color: line } },
      axisLabel: { color: faint },
      nameTextStyle: { color: faint },
      splitLine: { lineStyle: { color: line } },
    };
    const done = finished(options, known);
    for (const name of ["xAxis", "yAxis"]) {
      if (!done[name]) continue;
      for (const [part, style] of Object.entries(axis)) done[name][part] = { ...style, ...done[name][part] };
    }
    if (done.yAxis) done.yAxis.nameTextStyle = { color: faint, align: "left" };
    if (done.legend) done.legend.textStyle = { color: text };
    return {
      ...done,
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
      animation: false,
      tooltip: {
        ...done.tooltip,
        // Drawn on the canvas: nothing that a document or recipe says becomes HTML.
        renderMode: "richText",
        backgroundColor: colour("var(--raised)"),
        borderColor: line,
        textStyle: { color: text, fontSize: 12 },
        formatter: (p) => (Array.isArray(p) ? p[0] : p).data?.tip ?? "",
      },
    };
  }

  function draw(box) {
    const data = document.getElementById(box.dataset.chart);
    if (!data || typeof echarts === "undefined") return;
    let chart = charts.get(box);
    if (!chart) {
      chart = echarts.init(box, null, { renderer: "canvas" });
      charts.set(box, chart);
      new ResizeObserver(() => chart.resize()).observe(box);
    }
    const wanted = data.textContent + colour("var(--text)");
    if (box.dataset.drawn === String(wanted.length) && chart.wanted === wanted) return;
    chart.wanted = wanted;
    chart.setOption(themed(JSON.parse(data.textContent)), true);
    box.dataset.drawn = String(wanted.length);
  }

  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);

  // --- Theme: auto, light, dark.
  function themes() {
    const button = document.getElementById("theme");
    const name = button.querySelector("span");
    const show = () => { name.textContent = root.dataset.theme ?? "auto"; };
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = { auto: "light", light: "dark", dark: "auto" }[root.dataset.theme ?? "auto"];
      if (next === "auto") delete root.dataset.theme;
      else root.dataset.theme = next;
      localStorage.setItem("theme", next);
      show();
      drawAll();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    show();
  }

  // --- Uploads: files go to the store one after the other, their URIs into the form.
  function send(file, bar) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/v1/uploads?name=${encodeURIComponent(file.name)}`);
      request.upload.addEventListener("progress", (e) => { bar.value = e.loaded / e.total; });
      request.addEventListener("error", () => reject(new Error("the gateway does not answer")));
      request.addEventListener("load", () => {
        let told = {};
        try { told = JSON.parse(request.responseText); } catch { /* said by the status */ }
        if (request.status === 201) resolve(told.uri);
        else reject(new Error(told.detail ?? `the gateway answered ${request.status}`));
      });
      request.send(file);
    });
  }

  function uploads() {
    const input = document.getElementById("file");
    if (!input) return;
    const [state, bar, sources] = ["upload-state", "upload-bar", "sources"].map((id) => document.getElementById(id));
    input.addEventListener("change", async () => {
      bar.hidden = false;
      let done = 0;
      try {
        for (const file of input.files) {
          state.textContent = `Uploading ${file.name}`;
          const uri = await send(file, bar);
          const before = sources.value.trimEnd();
          sources.value = `${before}${before ? "\n" : ""}${uri}\n`;
          done += 1;
        }
        state.textContent = `${done} uploaded`;
      } catch (error) {
        state.textContent = `Not uploaded: ${error.message}`;
      }
      bar.hidden = true;
      input.value = "";
    });
  }

  themes();
  uploads();
  drawAll();
  setInterval(poll, POLL_MS);
})();
