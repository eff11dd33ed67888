"""The page that asks. It never says which run wrote a tag, how many did, or what others answered."""

from __future__ import annotations

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Judge tags</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
</head>
<body>
<main>
<h1 class="spoken">Judge tags</h1>
<form id="welcome" hidden>
  <h2>Judge tags</h2>
  <p>Watch each video and say whether the tag fits it: <b>relevant</b> if it names something the video shows or is
  about, <b>not</b> if it does not, <b>unsure</b> if you cannot tell.</p>
  <label for="name">Your name</label>
  <input id="name" name="name" maxlength="60" autocomplete="name" required aria-describedby="name-help">
  <p id="name-help" class="quiet">Your answers are saved under it. Give the same name to go on later.</p>
  <button type="submit" class="main">Begin</button>
</form>
<section id="work" hidden aria-label="Question">
  <header class="bar">
    <span id="count" role="status" aria-live="polite"></span>
    <progress id="progress" max="1" value="0" aria-label="Tags judged"></progress>
    <button type="button" class="who plain" title="Another annotator"><span class="name"></span> ⇄</button>
  </header>
  <div class="sides">
    <div class="seen">
      <div id="stage"></div>
      <p id="title" dir="auto"></p>
    </div>
    <div class="asked">
      <p class="ask">Does this tag fit? <span id="place"></span></p>
      <p id="tag" aria-live="polite" dir="auto"></p>
      <div class="verdicts" role="group" aria-label="Verdict">
        <button type="button" data-verdict="relevant" aria-keyshortcuts="1"><i aria-hidden="true">✓</i>Relevant <kbd>1</kbd></button>
        <button type="button" data-verdict="not" aria-keyshortcuts="2"><i aria-hidden="true">✗</i>Not <kbd>2</kbd></button>
        <button type="button" data-verdict="unsure" aria-keyshortcuts="3"><i aria-hidden="true">?</i>Unsure <kbd>3</kbd></button>
      </div>
      <div class="moves">
        <button type="button" id="back" aria-keyshortcuts="ArrowLeft">Back <kbd>←</kbd></button>
        <button type="button" id="undo" aria-keyshortcuts="Z">Undo <kbd>Z</kbd></button>
        <button type="button" id="forward" aria-keyshortcuts="ArrowRight">Forward <kbd>→</kbd></button>
      </div>
      <p id="last" class="quiet"></p>
      <p class="keys quiet"><kbd>Space</kbd> plays and pauses, <kbd>,</kbd> <kbd>.</kbd> one second back or on,
      <kbd>M</kbd> sound</p>
    </div>
  </div>
</section>
<section id="done" hidden aria-label="Finished">
  <h2 id="done-head" tabindex="-1"></h2>
  <p>Every answer is saved. You can close this page.</p>
  <div class="moves">
    <button type="button" id="look-again" aria-keyshortcuts="ArrowLeft">Look at the last one again <kbd>←</kbd></button>
    <button type="button" id="done-undo" aria-keyshortcuts="Z">Undo <kbd>Z</kbd></button>
    <button type="button" class="who">Another annotator</button>
  </div>
</section>
<p id="trouble" role="alert"></p>
</main>
<noscript><p>This page needs JavaScript.</p></noscript>
</body>
</html>
"""
