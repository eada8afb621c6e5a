"use strict";
// The page of a study: one task at a time, by pointer, touch or keys. The voter's code stays in this browser.

const at = (id) => document.getElementById(id);
const state = { study: null, voter: null, task: null, picture: 0, busy: false };

const pictureUrl = (name) => `pictures/${name}.png`;
const storageKey = () => `study-${state.study.id}`;

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = state.voter ? { "X-Voter": state.voter } : {};
  const options = { headers, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    if (body) {
      headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
  }
  const response = await fetch(path, options);
  const found = await response.json();
  if (!response.ok) throw new Refused(response.status, found.detail);
  return found;
}

function show(id) {
  for (const part of ["start", "task", "done"]) at(part).hidden = part !== id;
  at("progress").hidden = at("footer").hidden = !state.voter;
}

function say(text) {
  at("alert").textContent = text;
  at("alert").hidden = !text;
}

function keep(voter) {
  state.voter = voter;
  try {
    if (voter) localStorage.setItem(storageKey(), voter);
    else localStorage.removeItem(storageKey());
  } catch {
    // A browser that keeps nothing: the code at the foot of the page still leads back.
  }
  at("code").textContent = voter || "";
  at("elsewhere").href = voter ? `#voter=${voter}` : "#";
}

function kept() {
  const given = new URLSearchParams(location.hash.slice(1)).get("voter");
  if (given) {
    history.replaceState(null, "", location.pathname);
    return given;
  }
  try {
    return localStorage.getItem(storageKey());
  } catch {
    return null;
  }
}

function picture(name, alt) {
  const image = document.createElement("img");
  image.src = pictureUrl(name);
  image.alt = alt;
  image.draggable = false;
  return image;
}

function fill(figure, names, alt) {
  figure.hidden = names.length === 0;
  const strip = figure.querySelector(".strip");
  strip.replaceChildren(...names.map((name, i) => picture(name, names.length > 1 ? `${alt} ${i + 1} of ${names.length}` : alt)));
}

function choice(name, number) {
  const label = document.createElement("label");
  label.className = "choice";
  const radio = document.createElement("input");
  radio.type = "radio";
  radio.name = "choice";
  radio.value = name;
  radio.setAttribute("aria-label", `Picture ${number}`);
  const text = document.createElement("span");
  text.textContent = `Picture ${number} `;
  const key = document.createElement("kbd");
  key.textContent = number;
  text.append(key);
  label.append(radio, picture(name, `Picture ${number}`), text);
  return label;
}

async function present(found) {
  at("bar").max = found.total;
  at("bar").value = found.done;
  at("count").textContent = `${Math.min(found.done + 1, found.total)} of ${found.total}`;
  state.task = found.task;
  if (!found.task) {
    at("count").textContent = `${found.done} of ${found.total}`;
    show("done");
    at("done").querySelector("h1").focus();
    return;
  }
  const task = found.task;
  const question = state.study.questions.find((item) => item.name === task.question);
  at("prompt").textContent = question.prompt;
  at("hint").textContent = question.hint;
  at("references-caption").textContent = task.references.length > 1 ? "Reference photos" : "Reference photo";
  fill(at("references"), task.references, "Reference photo");
  fill(at("input"), task.input ? [task.input] : [], "Photo before the repair");
  at("given").hidden = !task.input && task.references.length === 0;
  const box = at("choices");
  box.dataset.count = task.choices.length > 4 ? "more" : task.choices.length;
  box.classList.add("loading");
  box.replaceChildren(...task.choices.map((name, i) => choice(name, i + 1)));
  at("tie").hidden = !state.study.tie;
  at("tie").querySelector("input").checked = false;
  at("next").disabled = true;
  show("task");
  window.scrollTo(0, 0);
  at("prompt").focus({ preventScroll: true });
  // All pictures appear together, so that none wins by being first.
  await Promise.allSettled([...at("task").querySelectorAll("img")].map((image) => image.decode()));
  if (state.task !== task) return;
  box.classList.remove("loading");
  for (const name of found.upcoming) new Image().src = pictureUrl(name);
}

function chosen() {
  return at("task").querySelector("input[name=choice]:checked");
}

function select(value) {
  const radio = [...at("task").querySelectorAll("input[name=choice]")].find((item) => item.value === value);
  if (!radio || radio.closest("[hidden]") || at("choices").classList.contains("loading")) return;
  radio.checked = true;
  radio.focus({ preventScroll: true }); // so that Enter goes on
  at("next").disabled = false;
}

async function begin() {
  if (!state.voter) keep((await ask("api/voters", null)).voter);
  await present(await ask("api/task"));
}

async function vote() {
  const radio = chosen();
  if (!radio) return;
  try {
    await present(await ask("api/votes", { task: state.task.id, choice: radio.value }));
  } catch (error) {
    if (error.status !== 409) throw error;
    await present(await ask("api/task")); // answered in another window
    say("You had answered that one in another window; the first answer stands.");
  }
}

async function attempt(work) {
  if (state.busy) return;
  state.busy = true;
  say("");
  try {
    await work();
  } catch (error) {
    if (error.status === 401) {
      keep(null);
      show("start");
      say("Your code is no longer known: your answers were removed. You may start anew.");
    } else {
      say(error instanceof Refused ? error.message : "The study can't be reached. Your choice is not lost: try again in a moment.");
    }
  } finally {
    state.busy = false;
  }
}

// Large view: choices and references at one place, so that flipping shows the difference.

function views() {
  const choices = state.task.choices.map((name, i) => ({ name, text: `Picture ${i + 1} of ${state.task.choices.length}`, choice: true }));
  const given = state.task.references.map((name) => ({ name, text: "Reference photo" }));
  if (state.task.input) given.push({ name: state.task.input, text: "Before the repair" });
  return [...choices, ...given];
}

function enlarge(place) {
  const all = views();
  state.picture = (place + all.length) % all.length;
  const view = all[state.picture];
  at("stage").src = pictureUrl(view.name);
  at("stage").alt = at("caption").textContent = view.text;
  at("take").disabled = !view.choice;
  if (!at("viewer").open) at("viewer").showModal();
}

function take() {
  const view = views()[state.picture];
  if (!view.choice) return;
  at("viewer").close();
  select(view.name);
}

function keyInViewer(event) {
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const digit = Number(event.key);
  if (move) enlarge(state.picture + move);
  else if (digit >= 1 && digit <= state.task.choices.length) enlarge(digit - 1);
  else return;
  event.preventDefault();
}

function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || at("task").hidden) return;
  if (at("viewer").open) {
    keyInViewer(event);
    return;
  }
  const digit = Number.parseInt(event.key, 10);
  if (digit >= 1 && digit <= state.task.choices.length) select(state.task.choices[digit - 1]);
  else if (event.key === "0" && state.study.tie) select("tie");
  else if (event.key.toLowerCase() === "l") enlarge(0);
  else if (event.key === "Enter" && !event.target.closest("button, a, summary, input")) at("task").requestSubmit();
  else return;
  event.preventDefault();
}

async function open() {
  state.study = await ask("api/study");
  document.title = at("title").textContent = state.study.title;
  const asked = state.study.questions.map((question) => {
    const item = document.createElement("li");
    item.textContent = question.prompt;
    return item;
  });
  at("asked").replaceChildren(...asked);
  at("amount").textContent = `${state.study.total} tasks, one after the other, by mouse, touch or keys.`;
  keep(kept());
  if (state.voter) await present(await ask("api/task"));
  else show("start");
}

at("begin").addEventListener("click", () => attempt(begin));
at("task").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(vote);
});
at("task").addEventListener("change", () => { at("next").disabled = !chosen(); });
at("large").addEventListener("click", () => enlarge(0));
at("before").addEventListener("click", () => enlarge(state.picture - 1));
at("after").addEventListener("click", () => enlarge(state.picture + 1));
at("take").addEventListener("click", take);
at("close").addEventListener("click", () => at("viewer").close());
document.addEventListener("keydown", key);
attempt(open);
