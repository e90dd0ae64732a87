// The console's own script: times in the reader's zone, renewal, keys, confirmations, charts.
"use strict";
(() => {
  const siteFormat = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
  const zoneName = Intl.DateTimeFormat().resolvedOptions().timeZone || "your time";

  function agoText(seconds) {
    const units = [[86400, "d"], [3600, "h"], [60, "min"]];
    for (const [size, unit] of units) if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit} ago`;
    return seconds < 1.5 ? "now" : `${Math.round(seconds)} s ago`;
  }

  function showTime(element) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.valueOf())) return;
    const own = siteFormat.format(moment);
    const atSite = element.dataset.site;
    element.title = `${own} ${zoneName}\n${atSite} at the site`;
    const form = element.dataset.form;
    if (form === "ago") { element.textContent = agoText((Date.now() - moment) / 1000); return; }
    const isToday = own.slice(0, 10) === siteFormat.format(new Date()).slice(0, 10);
    element.textContent = form === "clock" || isToday ? own.slice(11) : own;
    if (!atSite.startsWith(own)) {
      const [day, clock, zoneText] = atSite.split(" ");
      const zone = document.createElement("span");
      zone.className = "zone";
      zone.textContent = `${day === own.slice(0, 10) ? "" : `${day.slice(5)} `}${clock.slice(0, 5)} ${zoneText}`;
      element.append(zone);
    }
  }

  function showTimes(root) { root.querySelectorAll("time[datetime]").forEach(showTime); }

  // Charts
  const colours = ["--accent", "--busy", "--bad", "--warn", "--off"];
  function cssValue(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  async function drawChart(figure) {
    const plot = figure.querySelector(".plot");
    let data;
    try {
      const source = new URL(figure.dataset.src, location.href);
      const chosen = figure.closest(".charts")?.querySelector('[data-span][aria-pressed="true"]');
      source.searchParams.set("span", chosen ? chosen.dataset.span : "hour");
      const answer = await fetch(source, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      data = await answer.json();
    } catch { plot.textContent = "This chart cannot be read at the moment."; plot.className = "plot none"; return; }
    if (!data.times.length) { plot.textContent = "Nothing has been recorded for this time yet."; plot.className = "plot none"; return; }
    if (plot.chart) plot.chart.destroy();
    plot.textContent = ""; plot.className = "plot";
    const chart = new uPlot({ ...chartOptions(data, figure.dataset), width: plotWidth(plot) }, [data.times, ...data.series.map((one) => one.values)], plot);
    const newest = data.times.findLastIndex((_, index) => data.series.some((one) => one.values[index] != null));
    const showNewest = () => setTimeout(() => newest >= 0 && chart.setLegend({ idx: newest }));
    chart.over.addEventListener("mouseleave", showNewest);
    showNewest();
    plot.chart = chart;
    plotSizes.observe(plot);
  }

  const plotSizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const width = plotWidth(target);
      if (target.chart && target.chart.width !== width) target.chart.setSize({ width, height: target.chart.height });
    }
  });
  function plotWidth(plot) { return Math.max(plot.clientWidth, 200); }

  function durationText(seconds) {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) if (seconds >= 2 * size) return `${Number((seconds / size).toFixed(1))} ${unit}`;
    return seconds >= 1 || seconds === 0 ? `${Number(seconds.toFixed(1))} s` : `${Number((seconds * 1000).toPrecision(2))} ms`;
  }

  function chartOptions(data, { unit, height }) {
    const inUnit = (value) => (unit === "s" ? durationText(value) : unit === "ms" ? durationText(value / 1000) : value.toLocaleString());
    const axis = { stroke: cssValue("--ink-3"), grid: { stroke: cssValue("--line-soft"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const labelWidth = (_, labels) => Math.max(40, 14 + 7 * Math.max(...(labels ?? [""]).map((label) => String(label).length)));
    return {
      height: Number(height), padding: [8, 18, 0, 0],
      cursor: { y: false }, legend: { live: true, show: true },
      series: [{ label: "time", value: (_, seconds) => seconds == null ? "–" : siteFormat.format(new Date(seconds * 1000)).slice(0, 16) },
        ...data.series.map((one, index) => ({ label: one.name, stroke: cssValue(colours[index % colours.length]), width: 1.5, spanGaps: false,
          points: { show: true, size: 5, filter: lonelyPoints }, value: (_, value) => value == null ? "–" : inUnit(value) }))],
      axes: [{ ...axis, space: 60, size: 26, values: (_, seconds) => seconds.map((one) => siteFormat.format(new Date(one * 1000)).slice(11, 16)) },
        { ...axis, size: labelWidth, values: (_, values) => values.map(inUnit) }],
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(unit === "s" || unit === "ms" ? 1e-6 : 1, (high ?? 1) * 1.1)] } },
    };
  }

  // A value without neighbours is no line: it is shown as a point.
  function lonelyPoints(chart, seriesIndex) {
    const values = chart.data[seriesIndex];
    return [...values.keys()].filter((index) => values[index] != null && values[index - 1] == null && values[index + 1] == null);
  }

  function drawCharts(root) { root.querySelectorAll("figure.chart[data-src]").forEach(drawChart); }

  // Renewal
  let isLive = sessionStorage.getItem("live") !== "no";
  let renewedAt = Date.now();
  const liveSwitch = document.getElementById("live-switch");
  function showLive() {
    if (!liveSwitch) return;
    liveSwitch.hidden = !document.querySelector("[data-live]");
    liveSwitch.setAttribute("aria-pressed", String(isLive));
    liveSwitch.querySelector(".word").textContent = isLive ? "Live" : "Paused";
  }
  function setLive(value) { isLive = value; sessionStorage.setItem("live", value ? "yes" : "no"); showLive(); }
  function isBusy() {
    const active = document.activeElement;
    return document.querySelector("dialog[open]") || (active && active.matches("input:not([type=checkbox]), textarea, select"))
      || document.querySelector("#page input[type=checkbox]:checked:not([data-kept])") || String(getSelection());
  }
  function tick() {
    document.querySelectorAll('time[data-form="ago"]').forEach(showTime);
    const page = document.querySelector("[data-live]");
    if (!page || !isLive || document.hidden || isBusy()) return;
    if (Date.now() - renewedAt < Number(page.dataset.live) * 1000) return;
    renewedAt = Date.now();
    htmx.trigger(page, "renew");
  }

  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, renewed) => {
    if (!(old instanceof Element)) return true;
    if (old.matches(".plot, .switch")) return false;
    if (old.matches("details[open]") && renewed instanceof Element) renewed.setAttribute("open", "");
    return true;
  };

  // Keys
  let lastKey = "";
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    if (lastKey === "g") {
      lastKey = "";
      const tab = document.querySelector(`.tabs a[data-key="${CSS.escape(event.key)}"]`);
      if (tab) tab.click();
      return;
    }
    lastKey = event.key;
    if (event.key === "?") document.getElementById("keys").showModal();
    else if (event.key === "p" && liveSwitch && !liveSwitch.hidden) setLive(!isLive);
    else if (event.key === "/") {
      const search = document.querySelector("#page [data-search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  }

  document.addEventListener("click", (event) => {
    const source = event.target.dataset && document.getElementById(event.target.dataset.copy || "");
    if (!source) return;
    navigator.clipboard.writeText(source.textContent).then(
      () => { event.target.textContent = "Copied"; },
      () => { getSelection().selectAllChildren(source); });
  });
  const unfinishedSearch = document.querySelector("a[data-continue]");
  if (unfinishedSearch) location.replace(unfinishedSearch.href);
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".switch [data-span]");
    if (!button) return;
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
    drawCharts(button.closest(".charts"));
  });
  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", () => { showTimes(document); showLive(); });
  if (liveSwitch) liveSwitch.addEventListener("click", () => setLive(!isLive));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts(document));
  showTimes(document); showLive(); drawCharts(document);
  document.documentElement.dataset.ready = "yes";
  setInterval(tick, 1000);
  setInterval(() => { if (isLive && !document.hidden) drawCharts(document); }, 60000);
})();
