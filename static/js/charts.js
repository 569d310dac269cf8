// Charts from the JSON that stands beside them; the table behind a chart is in the page already.
// Colours are those of portal.css. Tooltips are drawn in the canvas, so the strict content policy holds.

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
const hues = ["rose", "blue", "amber", "green", "grey"];
const hue = (name) => colour(`--hue-${hues.includes(name) ? name : "grey"}`);
// Lines are told apart by their marks as well, bars by a pattern.
const marks = { rose: "circle", blue: "rect", amber: "triangle", green: "diamond", grey: "emptyCircle" };
const charts = new Map();
const family = getComputedStyle(document.body).fontFamily;
const scale = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;

// Quiet patterns over the hue: plain, rising lines, dots, falling lines, level lines.
const light = { color: "rgba(255, 255, 255, 0.45)", symbolSize: 1 };
const patterns = [
  { symbol: "none" },
  { ...light, symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 6], rotation: -Math.PI / 4 },
  { ...light, symbol: "circle", symbolSize: 0.6, dashArrayX: [[8, 8], [0, 8, 8, 0]], dashArrayY: [6, 0] },
  { ...light, symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 6], rotation: Math.PI / 4 },
  { ...light, symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 5] },
];

function grouped(number) {
  return number === null || number === undefined ? "–" : Number(number).toLocaleString("en-US");
}

// Leaders count in 万; the table and the tooltip are exact.
function axisNumber(chinese) {
  return (number) => (chinese && Math.abs(number) >= 10000 ? `${number / 10000}\u4e07` : grouped(number));
}

function series(item, kind) {
  const tint = hue(item.hue);
  const line = kind === "line";
  return {
    name: item.name,
    type: line ? "line" : "bar",
    data: item.values,
    stack: kind === "stacked" ? "all" : undefined,
    itemStyle: { color: tint },
    lineStyle: { color: tint, width: 2.5, type: item.dashed ? "dashed" : "solid" },
    symbol: marks[item.hue] || "circle",
    symbolSize: 8,
    barMaxWidth: 40,
    emphasis: { focus: "series" },
    cursor: item.links ? "pointer" : "default",
  };
}

// How many lines the legend takes: names wrap one by one, Chinese ones are twice as wide.
function legendRows(items, size, width) {
  let rows = 1;
  let used = 0;
  for (const { name } of items) {
    const letters = Array.from(String(name)).reduce((sum, letter) => sum + (letter > "\u00ff" ? 1 : 0.6), 0);
    const needed = letters * size + 55;
    if (used && used + needed > width) { rows += 1; used = 0; }
    used += needed;
  }
  return rows;
}

function options(data, title, width) {
  const chinese = document.documentElement.lang.startsWith("zh");
  const size = Math.round(14 * scale());
  const soft = colour("--portal-soft");
  const text = { color: soft, fontSize: size, fontFamily: family };
  const several = data.series.length > 1;
  const rows = several ? legendRows(data.series, size, width) : 0;
  return {
    aria: { enabled: true, decal: { show: several && data.kind !== "line", decals: patterns }, label: { general: { withTitle: "{title}" } } },
    title: { text: title, show: false },
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 300,
    textStyle: { fontFamily: family, fontSize: size },
    grid: { left: 8, right: 16, top: size * (2 + 2 * rows), bottom: 8, containLabel: true },
    legend: { show: several, top: 0, left: 0, textStyle: { ...text, color: colour("--portal-ink") }, itemGap: 20 },
    tooltip: {
      trigger: "axis", renderMode: "richText", confine: true, axisPointer: { type: data.kind === "line" ? "line" : "shadow" },
      textStyle: { fontSize: size, fontFamily: family, color: colour("--portal-ink") },
      valueFormatter: (value) => `${grouped(value)} ${data.unit || ""}`.trim(),
    },
    xAxis: {
      type: "category", data: data.categories, boundaryGap: data.kind !== "line", axisLabel: { ...text, hideOverlap: true },
      axisLine: { lineStyle: { color: "#8a94a3" } }, axisTick: { show: false },
    },
    yAxis: {
      type: "value", minInterval: data.whole === false ? 0 : 1, name: data.unit, nameTextStyle: { ...text, align: "left" }, nameGap: 10,
      axisLabel: { ...text, formatter: axisNumber(chinese) }, splitLine: { lineStyle: { color: colour("--portal-line") } },
    },
    series: data.series.map((item) => series(item, data.kind)),
  };
}

function draw(box) {
  const data = JSON.parse(document.getElementById(box.dataset.chart).textContent);
  const locale = document.documentElement.lang.startsWith("zh") ? "ZH" : "EN";
  const chart = echarts.init(box, null, { locale });
  chart.setOption(options(data, box.dataset.title, box.clientWidth));
  chart.on("click", (event) => {
    const link = (data.series[event.seriesIndex].links || [])[event.dataIndex];
    if (link) location.assign(link);
  });
  charts.set(box, { chart, data });
  const save = document.querySelector(`[data-chart-save="${CSS.escape(box.id)}"]`);
  if (save) {
    save.hidden = false;
    save.addEventListener("click", () => picture(box, data));
  }
}

// The saved picture carries its title, so that it still says what it shows in somebody's document.
function picture(box, data) {
  const paper = document.createElement("div");
  const chart = echarts.init(paper, null, { width: 1000, height: 500 });
  const shown = options(data, box.dataset.title, 1000);
  const size = shown.textStyle.fontSize;
  chart.setOption({
    ...shown,
    animation: false,
    title: { text: box.dataset.title, left: "center", top: size, textStyle: { fontFamily: family, fontSize: size * 1.3 } },
    legend: { ...shown.legend, top: size * 3, left: "center" },
    grid: { ...shown.grid, top: shown.grid.top + size * 3, right: 24, bottom: 16 },
  });
  const link = document.createElement("a");
  link.href = chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: "#fff" });
  link.download = `${box.dataset.title}.png`;
  link.click();
  chart.dispose();
}

function start(root) {
  const boxes = Array.from(root.querySelectorAll("[data-chart]"));
  for (const box of boxes) if (!charts.has(box)) draw(box);
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt));
addEventListener("resize", () => {
  for (const [box, { chart, data }] of charts) {
    if (!box.isConnected) { chart.dispose(); charts.delete(box); continue; }
    chart.resize();
    chart.setOption(options(data, box.dataset.title, box.clientWidth));
  }
});
// Paper is narrower than the window, and does not wait for the next frame.
function fit(size) {
  for (const { chart } of charts.values()) {
    chart.resize({ ...size, silent: true });
    chart.getZr().flush();
  }
}
addEventListener("beforeprint", () => fit({ width: 640, height: 260 }));
addEventListener("afterprint", () => fit({ width: "auto", height: "auto" }));
