"""Style sheet of the judging pages: system fonts, light and dark, from phone to desk."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #faf9f7; --panel: #ffffff; --ink: #1f2328; --quiet: #5d646d; --line: #d8d4cc; --accent: #1d5fa8;
  --chosen: #dfeaf7; --wrong: #a8261c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --panel: #1d2024; --ink: #e6e8ea; --quiet: #a0a7b0; --line: #3b4148; --accent: #7db4f0;
    --chosen: #1f3a57; --wrong: #ff9d92;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif;
}
main { max-width: 720px; margin: 0 auto; padding: 16px; }
.results main { max-width: 1120px; padding: 32px 16px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
p { margin: 0 0 8px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }

form { margin-top: 18vh; display: grid; gap: 10px; }
label { font-size: 1.3rem; font-weight: 600; }
#name-help { color: var(--quiet); }
input, button {
  font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 12px; min-height: 48px; min-width: 0;
}
button { cursor: pointer; font-weight: 600; }
button:hover { border-color: var(--accent); }
button[aria-pressed="true"] { background: var(--chosen); border-color: var(--accent); }
button:disabled { opacity: .5; cursor: default; }
kbd {
  font: 600 .8125rem/1 ui-monospace, monospace; color: var(--quiet); border: 1px solid var(--line); border-radius: 4px;
  padding: 2px 5px; white-space: nowrap;
}

.bar p { display: flex; justify-content: space-between; gap: 12px; color: var(--quiet); font-size: .875rem; }
#who { overflow-wrap: anywhere; text-align: right; }
progress { width: 100%; height: 8px; display: block; margin-bottom: 6px; accent-color: var(--accent); }
#stage { display: grid; place-items: center; background: #000; border-radius: 8px; overflow: hidden; height: min(42vh, 400px); }
#stage video, #stage img { width: 100%; height: 100%; object-fit: contain; min-height: 0; }
#stage p { color: #fff; padding: 12px; margin: 0; text-align: center; }
#title { margin: 10px 0 14px; color: var(--quiet); overflow-wrap: anywhere; max-height: 4.4em; overflow: auto; }
.ask { margin: 0; font-size: .875rem; color: var(--quiet); }
#tag { font-size: 1.9rem; font-weight: 700; line-height: 1.2; margin: 2px 0 14px; overflow-wrap: anywhere; }
.verdicts, .moves { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; margin-bottom: 8px; }
.verdicts button { min-height: 60px; }
.moves button { font-weight: 400; }
#done .moves { grid-template-columns: 1fr; }
#done { padding-top: 14vh; }
.keys { color: var(--quiet); font-size: .875rem; margin-top: 12px; }
#trouble { color: var(--wrong); font-weight: 600; }
@media (pointer: coarse) { .keys { display: none; } }

h1 { font-size: 1.6rem; margin: 0 0 16px; }
h2 { font-size: 1.2rem; margin: 28px 0 8px; }
.scroll { overflow-x: auto; margin-bottom: 14px; }
table { border-collapse: collapse; font-size: .9375rem; background: var(--panel); }
th, td { text-align: left; padding: 6px 12px; border: 1px solid var(--line); vertical-align: top; }
th { white-space: nowrap; }
a { color: var(--accent); text-underline-offset: 3px; }
.results p { max-width: 75ch; }
"""
