/**
 * The chart for the README: small bar charts side by side, drawn as SVG by hand. Pure.
 *
 * Readable on light and dark pages: no background, and text and bars in middle tones that stand out from
 * both white and nearly black.
 */

import { type Figure, FIGURES, type Result } from "./figures.ts";

const SHOWN: readonly Figure[] = [
  "call_p50_us",
  "paced_p50_us",
  "start_ms",
  "calls_per_s",
  "result_mb_s",
  "request_mb_s",
];

const COLUMNS = 3;
const PANEL_WIDTH = 300;
const LABEL_WIDTH = 118;
const VALUE_WIDTH = 52;
const ROW_HEIGHT = 20;
const BAR_HEIGHT = 12;
const TITLE_HEIGHT = 30;
const PANEL_GAP = 14;
const FOOTER_HEIGHT = 26;

const TEXT = "#7b8490";
const TALOS = "#2f81f7";
const OTHER = "#8b949e";

/** Returns the chart as SVG. `caption` says where and when it was measured. */
export function chart(results: readonly Result[], caption: string): string {
  const panelHeight = TITLE_HEIGHT + results.length * ROW_HEIGHT;
  const rows = Math.ceil(SHOWN.length / COLUMNS);
  const width = COLUMNS * PANEL_WIDTH + (COLUMNS - 1) * PANEL_GAP;
  const height = rows * (panelHeight + PANEL_GAP) + FOOTER_HEIGHT;
  const panels = SHOWN.map((figure, at) =>
    panel(
      figure,
      results,
      (at % COLUMNS) * (PANEL_WIDTH + PANEL_GAP),
      Math.floor(at / COLUMNS) * (panelHeight + PANEL_GAP),
    )
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" ` +
    `height="${height}" role="img" font-family="system-ui, sans-serif" font-size="11">`,
    `<title>Talos measured against direct stdio, ssh and mcp-remote</title>`,
    ...panels,
    text(0, height - 8, caption, { size: 10 }),
    `</svg>\n`,
  ].join("\n");
}

function panel(figure: Figure, results: readonly Result[], x: number, y: number): string {
  const { label, moreIsBetter } = FIGURES[figure];
  const most = Math.max(...results.map(({ figures }) => figures[figure] ?? 0));
  const room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const bars = results.map((result, row) => {
    const value = result.figures[figure];
    const top = y + TITLE_HEIGHT + row * ROW_HEIGHT;
    const length = value === null || most === 0 ? 0 : Math.max(1, room * value / most);
    const ours = result.name.startsWith("talos");
    const from = x + LABEL_WIDTH;
    return [
      text(from - 6, top + 10, result.label.split(" + ")[0]!, { anchor: "end", bold: ours }),
      `<rect x="${from}" y="${top}" width="${length.toFixed(1)}" height="${BAR_HEIGHT}" rx="2" ` +
      `fill="${ours ? TALOS : OTHER}"/>`,
      text(from + length + 5, top + 10, value === null ? "–" : short(value), { bold: ours }),
    ].join("\n");
  });
  const better = moreIsBetter ? "more is better" : "less is better";
  return [text(x, y + 14, `${label} (${better})`, { bold: true }), ...bars].join("\n");
}

function text(
  x: number,
  y: number,
  content: string,
  { anchor = "start", bold = false, size }: { anchor?: string; bold?: boolean; size?: number } = {},
): string {
  const weight = bold ? ' font-weight="600"' : "";
  const fontSize = size === undefined ? "" : ` font-size="${size}"`;
  return `<text x="${
    x.toFixed(1)
  }" y="${y}" fill="${TEXT}" text-anchor="${anchor}"${weight}${fontSize}>` +
    `${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** `1234567` as `1.2 M`, `12345` as `12 k`, `123.4` as `123`. */
function short(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return value.toFixed(value < 10 ? 1 : 0);
}
