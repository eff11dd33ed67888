"""Style sheet of the page that asks, in the report's colours: system fonts, light and dark, from phone to desk."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #faf9f7; --panel: #ffffff; --ink: #1f2328; --quiet: #5d646d; --line: #d8d4cc; --well: #f0eeea;
  --accent: #1d5fa8; --on-accent: #ffffff;
  --yes: #14693a; --yes-fill: #e3f3e8; --no: #a8261c; --no-fill: #fce9e7; --unsure: #5d646d; --unsure-fill: #ebe8e2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --panel: #1d2024; --ink: #e6e8ea; --quiet: #a0a7b0; --line: #3b4148; --well: #262a2f;
    --accent: #7db4f0; --on-accent: #10151b;
    --yes: #7fd8a0; --yes-fill: #1a3325; --no: #ff9d92; --no-fill: #45221f; --unsure: #c3c8ce; --unsure-fill: #343a41;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 14px 16px 24px; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.quiet { color: var(--quiet); font-size: .875rem; }
h2 { font-size: 1.6rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 8px; }
p { margin: 0 0 8px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
h2:focus { outline: none; }

input, button {
  font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 10px;
  padding: 10px 12px; min-height: 48px; min-width: 0;
}
button { cursor: pointer; touch-action: manipulation; }
button:hover:not(:disabled) { border-color: var(--accent); }
button:disabled { opacity: .45; cursor: default; }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
button.plain { background: none; border: 0; min-height: 0; padding: 4px 0; }
button.plain:hover { color: var(--accent); }
kbd {
  font: 600 .8125rem/1 ui-monospace, monospace; color: var(--quiet); border: 1px solid var(--line); border-radius: 4px;
  padding: 1px 5px; white-space: nowrap; background: var(--paper);
}

#welcome, #done { max-width: 30rem; margin: 14vh auto 0; }
#welcome { display: grid; gap: 8px; }
#welcome label { font-weight: 600; margin-top: 14px; }
#welcome p { margin: 0; }
#welcome button { margin-top: 8px; }
#done .moves { display: grid; gap: 8px; margin-top: 20px; }

.bar { display: flex; align-items: center; gap: 14px; color: var(--quiet); font-size: .875rem; margin-bottom: 12px; }
.bar span { font-variant-numeric: tabular-nums; }
#count { flex: none; }
.who.plain { flex: 0 1 auto; color: var(--quiet); display: flex; gap: 6px; max-width: 40%; }
.who .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
progress { flex: 1 1 80px; min-width: 40px; height: 8px; border: 0; border-radius: 4px; overflow: hidden; appearance: none;
  background: var(--well); }
progress::-webkit-progress-bar { background: var(--well); }
progress::-webkit-progress-value { background: var(--accent); border-radius: 4px; }
progress::-moz-progress-bar { background: var(--accent); border-radius: 4px; }

#stage { display: grid; place-items: center; background: var(--well); border-radius: 10px; overflow: hidden;
  height: min(40vh, 360px); }
#stage video, #stage img { width: 100%; height: 100%; object-fit: contain; min-height: 0; }
#stage p { color: var(--quiet); padding: 10px 14px; margin: 0; text-align: center; font-size: .875rem; }
#stage img:not(:only-child) { padding-top: 14px; }
#stage:has(p) { grid-template-rows: minmax(0, 1fr) auto; }
#title { margin: 10px 0 14px; color: var(--quiet); overflow-wrap: anywhere; max-height: 4.4em; overflow: auto; }
.ask { margin: 0; font-size: .875rem; color: var(--quiet); }
#tag { font-size: 2rem; font-weight: 700; line-height: 1.2; letter-spacing: -0.015em; margin: 2px 0 16px;
  overflow-wrap: anywhere; max-height: 4.8em; overflow: auto; }
.verdicts, #work .moves { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; margin-bottom: 8px; }
.verdicts button { min-height: 64px; font-weight: 600; padding: 10px 4px; }
.verdicts i { font-style: normal; font-weight: 700; margin-right: .35em; }
[data-verdict="relevant"] i { color: var(--yes); }
[data-verdict="not"] i { color: var(--no); }
[data-verdict="unsure"] i { color: var(--unsure); }
[aria-pressed="true"] kbd { background: none; color: inherit; border-color: currentColor; }
[data-verdict="relevant"][aria-pressed="true"] { background: var(--yes-fill); border-color: var(--yes); color: var(--yes); }
[data-verdict="not"][aria-pressed="true"] { background: var(--no-fill); border-color: var(--no); color: var(--no); }
[data-verdict="unsure"][aria-pressed="true"] { background: var(--unsure-fill); border-color: var(--unsure); }
#last { min-height: 1.5em; margin-top: 14px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.keys { line-height: 1.9; }
#trouble { color: var(--no); font-weight: 600; margin-top: 12px; position: sticky; bottom: 12px; }
#trouble:not(:empty) { background: var(--no-fill); border-radius: 10px; padding: 10px 14px; }

@media (min-width: 860px) {
  main { padding-top: 24px; }
  .sides { display: grid; grid-template-columns: minmax(0, 1.55fr) minmax(320px, 1fr); gap: 32px; align-items: start; }
  #stage { height: min(68vh, 560px); }
  .asked { padding-top: 8px; }
  #tag { font-size: 2.5rem; }
  #work .verdicts { grid-template-columns: 1fr; margin-bottom: 16px; }
  .verdicts button { display: flex; align-items: center; text-align: left; padding: 10px 18px; }
  .verdicts i { width: 1.2em; }
  .verdicts kbd { margin-left: auto; }
  #work .moves button { padding: 8px 6px; font-size: .9375rem; }
}
@media (pointer: coarse) { .keys, button kbd { display: none; } }
"""
