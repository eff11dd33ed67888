"use strict";
const byId = (id) => document.getElementById(id);
let questions = [];
let annotator = "";
let at = 0;
let busy = false;
let shown = null;
let silent = true;  // browsers let only silent videos start by themselves

async function ask(place, body) {
  const reply = await fetch(place, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ annotator, ...body }),
  });
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
}

/* One thing at a time; a key pressed meanwhile would be meant for the tag before. */
async function once(failure, work) {
  if (busy) return;
  busy = true;
  try {
    await work();
    byId("trouble").textContent = "";
  } catch (error) {
    const reason = error instanceof TypeError ? "The server does not answer. Is optsg-judge still running?" : error.message;
    byId("trouble").textContent = `${failure} ${reason}`;
    byId("last").textContent = "";
  } finally {
    busy = false;
  }
}

function show(view) {
  for (const name of ["welcome", "work", "done"]) byId(name).hidden = name !== view;
}

function showMedia(question) {
  if (shown === question.video) return;
  shown = question.video;
  const stage = byId("stage");
  for (const video of stage.querySelectorAll("video")) {
    // Browsers allow a few connections to one server; a video that is only removed would keep its own for a while.
    video.onerror = null;
    video.removeAttribute("src");
    video.load();
  }
  const note = (text) => {
    const line = document.createElement("p");
    line.textContent = text;
    const still = picture(`still/${question.video}`);
    still.onerror = () => still.remove();
    stage.replaceChildren(still, line);
  };
  const picture = (address) => {
    const image = document.createElement("img");
    image.src = address;
    image.alt = question.title || "a still of the video";
    return image;
  };
  if (question.media === null) return note("The file was not found; this is a still of it.");
  if (question.media.startsWith("image/")) return stage.replaceChildren(picture(`media/${question.video}`));
  const video = document.createElement("video");
  Object.assign(video, { controls: true, loop: true, muted: silent, autoplay: true, playsInline: true });
  video.onvolumechange = () => { silent = video.muted; };
  video.poster = `still/${question.video}`;
  video.setAttribute("aria-label", question.title || "the video");
  video.onerror = () => note("This browser cannot play the file; this is a still of it.");
  video.src = `media/${question.video}`;
  stage.replaceChildren(video);
}

function render() {
  const judged = questions.filter((question) => question.verdict !== null).length;
  byId("progress").max = Math.max(questions.length, 1);
  byId("progress").value = judged;
  byId("count").textContent = `${judged} of ${questions.length} judged`;
  for (const name of document.querySelectorAll(".who .name")) name.textContent = annotator;
  if (at >= questions.length) {
    show("done");
    pause();
    const left = questions.length - judged;
    byId("done-head").textContent =
      questions.length === 0 ? "There are no tags to judge." :
      left === 0 ? `All ${questions.length} tags are judged. Thank you.` : `That was the last one; ${left} are still open.`;
    byId("look-again").hidden = byId("done-undo").hidden = questions.length === 0;
    byId("done-head").focus();
    return;
  }
  show("work");
  const question = questions[at];
  showMedia(question);
  byId("title").textContent = question.title;
  byId("tag").textContent = question.tag;
  const ofVideo = questions.filter((other) => other.video === question.video);
  byId("place").textContent = ofVideo.length === 1 ? "" : `${ofVideo.indexOf(question) + 1} of ${ofVideo.length} for this video`;
  for (const button of document.querySelectorAll("[data-verdict]"))
    button.setAttribute("aria-pressed", String(button.dataset.verdict === question.verdict));
  byId("back").disabled = at === 0;
}

/* The next open question, from here on and then from the beginning. */
function nextOpen(from) {
  const open = (question) => question.verdict === null;
  const later = questions.findIndex((question, number) => number >= from && open(question));
  if (later >= 0) return later;
  const earlier = questions.findIndex(open);
  return earlier >= 0 ? earlier : questions.length;
}

const WORDS = { relevant: "relevant", not: "not relevant", unsure: "unsure" };
const told = (question) => { byId("last").textContent = question ? `Saved “${question.tag}”: ${WORDS[question.verdict]}` : ""; };

const answer = (verdict) => once("Not saved.", async () => {
  if (at >= questions.length) return;
  const question = questions[at];
  await ask("answer", { number: question.number, verdict });
  question.verdict = verdict;
  told(question);
  at = nextOpen(at + 1);
  render();
});

const undo = () => once("Not taken back.", async () => {
  const reply = await ask("undo", {});
  const place = questions.findIndex((question) => question.number === reply.number);
  if (place < 0) {
    byId("last").textContent = "There is nothing to take back.";
    return;
  }
  questions[place].verdict = reply.verdict;
  byId("last").textContent = "Taken back.";
  at = place;
  render();
});

function pause() {
  for (const video of document.querySelectorAll("video")) video.pause();
}

function move(step) {
  if (busy) return;
  at = Math.min(Math.max(at + step, 0), questions.length);
  render();
}

const begin = (name) => once("The questions did not come.", async () => {
  annotator = name;
  const reply = await ask("questions", {});
  annotator = reply.annotator;
  questions = reply.questions;
  const address = new URL(location.href);
  address.searchParams.set("name", annotator);
  history.replaceState(null, "", address);
  at = nextOpen(0);
  told(null);
  if (document.activeElement) document.activeElement.blur();
  render();
});

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || byId("welcome").hidden === false) return;
  const onControl = event.target.closest("button, video, a") !== null;
  const video = document.querySelector("video");
  const seek = (seconds) => { if (video) video.currentTime = Math.max(0, video.currentTime + seconds); };
  const play = () => { if (video) { if (video.paused) video.play(); else video.pause(); } };
  const sound = () => { if (video) video.muted = !video.muted; };
  const actions = {
    1: () => answer("relevant"), 2: () => answer("not"), 3: () => answer("unsure"), z: undo,
    arrowleft: () => move(-1), arrowright: () => move(1), ",": () => seek(-1), ".": () => seek(1),
    " ": onControl ? undefined : play, m: sound,
  };
  if (event.target.closest("video") && event.key.startsWith("Arrow")) return;  // the player seeks with them
  // The places of 1, 2 and 3, also where these keys write something else.
  const digit = /^(?:Digit|Numpad)([123])$/.exec(event.code);
  const action = actions[digit ? digit[1] : event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

/* After a click the space bar is for the video again; a button reached by Tab keeps the focus. */
document.addEventListener("click", (event) => {
  const button = event.target.closest("#work button");
  if (button && event.detail > 0) button.blur();
});
for (const button of document.querySelectorAll("[data-verdict]"))
  button.addEventListener("click", () => answer(button.dataset.verdict));
for (const button of document.querySelectorAll(".who"))
  button.addEventListener("click", () => { if (!busy) ready(); });
byId("back").addEventListener("click", () => move(-1));
byId("forward").addEventListener("click", () => move(1));
byId("look-again").addEventListener("click", () => move(-1));
byId("undo").addEventListener("click", undo);
byId("done-undo").addEventListener("click", undo);
byId("welcome").addEventListener("submit", (event) => { event.preventDefault(); begin(byId("name").value); });
document.addEventListener("keydown", key);

const remembered = new URLSearchParams(location.search).get("name");
if (remembered) begin(remembered).then(() => { if (byId("work").hidden && byId("done").hidden) ready(); });
else ready();

function ready() {
  pause();
  show("welcome");
  byId("name").value = "";
  byId("name").focus();
}
