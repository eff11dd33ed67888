"""The page that asks. It never says which run wrote a tag, or how many did."""

from __future__ import annotations

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Judge tags</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
</head>
<body>
<main>
<h1 class="hidden">Judge tags</h1>
<form id="welcome" hidden>
  <label for="name">Your name</label>
  <p id="name-help">Your answers are saved under it. Give the same name to go on later.</p>
  <input id="name" name="name" maxlength="60" autocomplete="name" required aria-describedby="name-help">
  <button type="submit">Begin</button>
</form>
<section id="work" hidden aria-label="Question">
  <div class="bar">
    <progress id="progress" max="1" value="0" aria-label="Tags judged"></progress>
    <p><span id="count" role="status" aria-live="polite"></span> <span id="who"></span></p>
  </div>
  <div id="stage"></div>
  <p id="title"></p>
  <p class="ask">Does this tag fit?</p>
  <p id="tag" aria-live="polite" dir="auto"></p>
  <div class="verdicts" role="group" aria-label="Verdict">
    <button type="button" data-verdict="relevant" aria-keyshortcuts="1">Relevant <kbd>1</kbd></button>
    <button type="button" data-verdict="not" aria-keyshortcuts="2">Not <kbd>2</kbd></button>
    <button type="button" data-verdict="unsure" aria-keyshortcuts="3">Unsure <kbd>3</kbd></button>
  </div>
  <div class="moves">
    <button type="button" id="back" aria-keyshortcuts="ArrowLeft">Back <kbd>←</kbd></button>
    <button type="button" id="undo" aria-keyshortcuts="Z">Undo <kbd>Z</kbd></button>
    <button type="button" id="forward" aria-keyshortcuts="ArrowRight">Forward <kbd>→</kbd></button>
  </div>
  <p class="keys"><kbd>Space</kbd> plays and pauses · <kbd>,</kbd> <kbd>.</kbd> one second back or on</p>
</section>
<section id="done" hidden aria-label="Finished">
  <h2 id="done-head" tabindex="-1"></h2>
  <p>Every answer is saved. You can close this page.</p>
  <div class="moves">
    <button type="button" id="done-undo" aria-keyshortcuts="Z">Undo <kbd>Z</kbd></button>
    <button type="button" id="look-again" aria-keyshortcuts="ArrowLeft">Look at the last one again <kbd>←</kbd></button>
  </div>
</section>
<p id="trouble" role="alert"></p>
</main>
<noscript><p>This page needs JavaScript.</p></noscript>
</body>
</html>
"""
