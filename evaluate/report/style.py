"""Style sheet of the report: system fonts, light and dark, from phone to desk."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #faf9f7; --panel: #ffffff; --ink: #1f2328; --quiet: #5d646d; --line: #e3e0da; --faint: #b9b5ad; --well: #f0eeea;
  --correct: #14693a; --correct-fill: #e3f3e8; --wrong: #a8261c; --wrong-fill: #fce9e7;
  --novel: #5f37b8; --novel-fill: #efe9fb; --missed: #5d646d; --accent: #1d5fa8;
  --s1: #1d5fa8; --s2: #b4540a; --run3: #2f7d46; --run4: #8a3a9c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --panel: #1d2024; --ink: #e6e8ea; --quiet: #a0a7b0; --line: #31363c; --faint: #565d66; --well: #262a2f;
    --correct: #7fd8a0; --correct-fill: #1a3325; --wrong: #ff9d92; --wrong-fill: #45221f;
    --novel: #c3a8ff; --novel-fill: #34294f; --missed: #a0a7b0; --accent: #7db4f0;
    --s1: #7db4f0; --s2: #f0a35e; --run3: #7fd8a0; --run4: #d9a2ea;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif;
}
.page { max-width: 1120px; margin: 0 auto; padding: 40px 24px 72px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 14px; letter-spacing: -0.01em; }
h3 { font-size: 1rem; margin: 0 0 6px; }
section { margin-top: 52px; scroll-margin-top: 16px; }
.eyebrow { margin: 0 0 4px; color: var(--quiet); font-size: .875rem; }
.lead { margin: 8px 0 0; color: var(--quiet); }
.note { margin: 8px 0 14px; color: var(--quiet); font-size: .875rem; max-width: 70ch; }
nav { margin-top: 20px; display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: .9375rem; }
a { color: var(--accent); text-underline-offset: 3px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1px; margin: 26px 0 0;
  background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.tile { background: var(--panel); padding: 14px 16px; }
.tile dt { font-size: .8125rem; color: var(--quiet); }
.tile dd { margin: 0; }
.tile strong { display: block; font-size: 1.75rem; line-height: 1.25; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { font-size: .8125rem; color: var(--quiet); }

.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 10px 32px; margin: 0; }
.facts dt { font-size: .8125rem; color: var(--quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; }

.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 28px 40px; }
.numbers { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.numbers th, .numbers td { padding: 6px 0 6px 14px; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400; }
.numbers thead th { color: var(--quiet); font-size: .8125rem; }
.numbers th:first-child { text-align: left; padding-left: 0; overflow-wrap: anywhere; }
.metric .numbers th:first-child { overflow-wrap: normal; }
.metric .numbers td { white-space: nowrap; } .tables .numbers td, .tables .numbers th + th { padding-left: 10px; } .metric .numbers td.examples { white-space: normal; }
.frequency tbody th { white-space: nowrap; }
.frequency .barcell { width: 50%; }
.bar { display: flex; align-items: center; gap: 10px; }
.bar b { font-weight: 400; min-width: 2.6em; text-align: right; }
.track { flex: 1; height: 10px; background: var(--well); border-radius: 3px; overflow: hidden; }
.track i { display: block; height: 100%; background: var(--s1); }

.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 28px 36px; }
.plot { margin: 0; }
figcaption { font-weight: 600; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 18px; color: var(--quiet); font-size: .875rem; margin: 2px 0 8px; }
.keys span { display: inline-flex; align-items: center; gap: 7px; }
.key { width: 26px; height: 10px; }
.chart { display: block; width: 100%; height: auto; overflow: visible; }
.chart text { font-size: 12px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.chart .end { text-anchor: end; }
.chart .middle { text-anchor: middle; }
.grid { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.best { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 3; }
.series polyline, .series line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s1 polyline, .s1 line { stroke: var(--s1); }
.s1 circle { fill: var(--s1); }
.s2 polyline, .s2 line { stroke: var(--s2); stroke-dasharray: 6 4; }
.s2 circle { fill: var(--s2); }
.s3 polyline, .s3 line { stroke: var(--quiet); stroke-dasharray: 1 4; }
.s3 circle { fill: var(--quiet); }
.run1 polyline, .run1 line { stroke: var(--s1); } .run1 circle { fill: var(--s1); }
.run2 polyline, .run2 line { stroke: var(--s2); stroke-dasharray: 7 4; } .run2 circle { fill: var(--s2); }
.run3 polyline, .run3 line { stroke: var(--run3); stroke-dasharray: 2 4; } .run3 circle { fill: var(--run3); }
.run4 polyline, .run4 line { stroke: var(--run4); stroke-dasharray: 10 3 2 3; } .run4 circle { fill: var(--run4); }
.series circle { stroke: none; }
.mass { fill: var(--line); opacity: .65; }
.chart .mass-count { font-size: 11px; }
.widechart { overflow-x: auto; margin-bottom: 20px; } .widechart .chart { min-width: 680px; }
.mark { fill: none; stroke: var(--ink); stroke-width: 2; }

.legend { list-style: none; margin: 0 0 28px; padding: 0; display: grid; gap: 6px; font-size: .875rem; color: var(--quiet); }
.legend li { display: grid; grid-template-columns: 6.5rem 1fr; align-items: baseline; }
.legend .tag { justify-self: start; }
.samples + .samples { margin-top: 32px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 16px; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px 16px; }
.card .head { display: flex; gap: 14px; align-items: center; }
.card .head > :last-child { min-width: 0; }
.picture { flex: 0 0 96px; width: 96px; height: 96px; border-radius: 6px; overflow: hidden; background: var(--well); }
.picture img { width: 100%; height: 100%; object-fit: contain; display: block; }
.picture.none { display: grid; place-items: center; color: var(--quiet); font-size: .75rem; }
.card h4 { margin: 0; font-size: 1rem; line-height: 1.3; overflow-wrap: anywhere; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.card h4.untitled { color: var(--quiet); font-weight: 400; }
.card h5 { margin: 10px 0 4px; font-size: .8125rem; font-weight: 400; color: var(--quiet); }
.id { margin: 0; font-size: .8125rem; color: var(--quiet); overflow-wrap: anywhere; }
.taglist { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 5px; }
.taglist li { max-width: 100%; }
.taglist .none { color: var(--quiet); font-size: .875rem; }
.tag { display: inline-flex; align-items: baseline; gap: 5px; max-width: 100%; padding: 1px 8px; border-radius: 6px;
  font-size: .875rem; border: 1px solid transparent; overflow-wrap: anywhere; }
.tag .score { font-size: .75rem; font-variant-numeric: tabular-nums; opacity: .85; }
.sign { font-family: system-ui, "Segoe UI Symbol", "Noto Sans Symbols 2", sans-serif; font-size: .8125rem; }
.correct { color: var(--correct); background: var(--correct-fill); }
.wrong { color: var(--wrong); background: var(--wrong-fill); }
.novel { color: var(--novel); background: var(--novel-fill); }
.missed { color: var(--missed); border: 1px dashed var(--faint); }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

button.tag { font: inherit; font-size: .875rem; text-align: left; cursor: pointer; }
button.tag[aria-pressed=true] { border-color: currentColor; }
.evidence { margin-top: 10px; padding: 2px 10px 10px; background: var(--well); border-radius: 8px; }
.card .evidence h5 { margin: 8px 0 4px; } .evidence h5 b { color: var(--ink); font-weight: 600; }
.words { margin: 0 0 8px; display: flex; flex-wrap: wrap; gap: 4px; font-size: .9375rem; }
.word { padding: 0 6px; border-radius: 4px; overflow-wrap: anywhere;
  background: color-mix(in srgb, var(--s2) calc(var(--strength) * 50%), transparent); }
.strip { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(68px, 1fr)); gap: 6px;
  max-height: 21rem; overflow-y: auto; }
.strip li { display: grid; grid-template-columns: auto auto; justify-content: space-between; font-size: .75rem; color: var(--quiet);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.strip img, .strip .cell { grid-column: 1 / -1; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 4px; display: block; }
.strip img { opacity: calc(.3 + var(--strength) * .7); background: var(--panel); }
.strip .cell { aspect-ratio: 2.2; background: color-mix(in srgb, var(--s2) calc(var(--strength) * 75%), var(--panel)); }
.strip i { grid-column: 1 / -1; height: 4px; margin: 3px 0 1px; border-radius: 2px;
  background: linear-gradient(var(--s2), var(--s2)) 0 / calc(var(--share) * 1%) 100% no-repeat var(--line); }
.search { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; margin-bottom: 12px; font-size: .9375rem; }
.search input { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: 4px 10px; width: 220px; max-width: 100%; }
.search output { color: var(--quiet); font-size: .875rem; }
.search label { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 4px 8px; max-width: 100%; }
.search select, .search > button { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; padding: 4px 10px; }
.search > button { cursor: pointer; } .search > button:hover { border-color: var(--faint); }
.videofilter { margin-bottom: 24px; }
.found { outline: 2px solid currentColor; outline-offset: 1px; }
[hidden] { display: none !important; }
.runs { list-style: none; margin: 16px 0 0; padding: 0; display: grid; gap: 4px; color: var(--quiet); }
.runs b { color: var(--ink); font-weight: 600; overflow-wrap: anywhere; } .runs .key { margin-right: 9px; }
.verdict { margin: 16px 0 0; font-size: 1.125rem; max-width: 60ch; }
.wide { position: relative; overflow-x: auto; } .wide .interval { margin-left: 6px; }
.interval { color: var(--quiet); font-size: .875rem; }
td.up b, td.up:not(:has(b)) { color: var(--correct); } td.down b, td.down:not(:has(b)) { color: var(--wrong); }
.causes th b { display: block; font-weight: 600; }
.causes th .meaning { display: block; color: var(--quiet); font-size: .875rem; max-width: 46ch; }
.causes td { vertical-align: top; } .causes .barcell { width: 22%; }
.causes thead th:last-child, .causes td.examples { text-align: left; width: 30%; }
.example { display: inline-block; margin: 0 12px 0 0; color: var(--quiet); overflow-wrap: anywhere; font-size: .9375rem; }
.example [dir] { color: var(--ink); }
#errors .metric + .metric { margin-top: 28px; }
.scroll { position: relative; max-height: 34rem; overflow: auto; border: 1px solid var(--line); border-radius: 10px;
  background: var(--panel); }
.tags { min-width: 640px; font-size: .9375rem; }
.tags th, .tags td { padding: 5px 14px 5px 0; }
.tags th:first-child { padding-left: 14px; max-width: 22rem; }
.tags thead th { position: sticky; top: 0; background: var(--panel); box-shadow: inset 0 -1px var(--line); border-bottom: 0; }
.tags td.name, .tags thead th.name { text-align: left; }
.tags td.name { overflow-wrap: anywhere; }
.tags td.group { color: var(--quiet); background: none; }
.tags .barcell { min-width: 130px; }
.tags button { font: inherit; color: inherit; background: none; border: 0; padding: 2px 0; cursor: pointer; }
.tags button:hover { color: var(--ink); text-decoration: underline; }
.tags th[aria-sort=ascending] button::after { content: " \\2191"; }
.tags th[aria-sort=descending] button::after { content: " \\2193"; }
.tags th[aria-sort=ascending], .tags th[aria-sort=descending] { color: var(--ink); }
footer { margin-top: 56px; color: var(--quiet); font-size: .8125rem; }

@media (max-width: 560px) {
  .page { padding: 24px 16px 48px; }
  h1 { font-size: 1.5rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .frequency .barcell { width: 40%; }
  .wide .interval { display: block; margin: 0; font-size: .75rem; }
  .wide .numbers { font-size: .875rem; } .wide .numbers th, .wide .numbers td { padding-left: 8px; }
  .wide .numbers th:first-child { padding-left: 0; }
  .causes thead { display: none; }
  .causes tr { display: grid; grid-template-columns: auto 1fr; padding: 8px 0; border-bottom: 1px solid var(--line); }
  .causes th, .causes td, .causes td.examples { border: 0; padding: 2px 12px 2px 0; width: auto; }
  .causes th, .causes td.examples { grid-column: 1 / -1; }
  .causes .barcell { width: auto; }
}
@media print {
  .scroll { max-height: none; overflow: visible; }
  .search, nav { display: none; }
  .card { break-inside: avoid; }
}
"""
