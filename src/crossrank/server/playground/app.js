// The page: what was typed, what was chosen, what is shown.

import { fromLines, readDocuments } from "./files.js";
import { duration, language, MESSAGES, say, speak, translate } from "./messages.js";
import { Problem } from "./problem.js";
import { showRankings } from "./results.js";
import { fetchSettings, rank } from "./server.js";

const EXAMPLE = {
  query: "How do vaccines protect against disease?",
  documents: [
    "Smallpox was declared eradicated in 1980. It is the only human disease that has been wiped out.",
    "The pharmacy on the corner opens at nine and closes at six. Vaccines are in stock from October on.",
    "Antibiotics work against bacteria only, and do nothing against viruses.",
    "A vaccine shows the immune system a harmless piece of a germ. The body makes antibodies and memory cells against it. When the real germ comes, they recognise it at once and fight it off.",
    "Most vaccines must be kept cold, between two and eight degrees, from the factory to the patient.",
    "Washing hands with soap for twenty seconds keeps many germs from spreading.",
  ],
};

const $ = (id) => document.getElementById(id);
const state = {
  settings: null, // what the server says of itself
  file: null, // {name, documents} of an uploaded file, instead of what was pasted
  rankings: [],
  status: null, // [key, values] of what is said above the rankings
  problem: null,
  running: null, // an AbortController
};

// Language and theme

// A choice outlives the tab, a key does not. Where storage is switched off, neither outlives the page.
function remembered(name, storage = "localStorage") {
  try {
    return window[storage].getItem(`crossrank.${name}`);
  } catch {
    return null;
  }
}

function remember(name, value, storage = "localStorage") {
  try {
    window[storage].setItem(`crossrank.${name}`, value);
  } catch {
    // Then not.
  }
}

function useLanguage(name) {
  speak(name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  translate(document);
  $("language").textContent = say("other_language");
  $("language").lang = name === "zh" ? "en" : "zh-CN";
  showTheme();
  showModels();
  showDocuments();
  showProblem();
  showStatus();
  showRankings($("rankings"), state.rankings, explain);
}

const systemTheme = matchMedia("(prefers-color-scheme: dark)");
const oneColumn = matchMedia("(max-width: 56rem)");

function theme() {
  return document.documentElement.dataset.theme ?? (systemTheme.matches ? "dark" : "light");
}

function showTheme() {
  $("theme").textContent = say(theme() === "dark" ? "light" : "dark");
}

// What is shown

function documents() {
  return state.file ? state.file.documents : fromLines($("documents").value);
}

function showDocuments() {
  const n = documents().length;
  $("count").textContent = n ? say("documents_count", { n }) : "";
  $("documents").hidden = !!state.file;
  $("documents-hint").hidden = !!state.file;
  $("file").hidden = !state.file;
  if (!state.file) return;
  $("file-name").textContent = state.file.name;
  const first = state.file.documents.slice(0, 3).map((document_) => {
    const line = document.createElement("li");
    line.textContent = document_.slice(0, 200);
    return line;
  });
  $("file-preview").replaceChildren(...first);
}

function showModels() {
  const models = state.settings?.models ?? [];
  const option = (name, label = name) => new Option(label, name);
  const chosen = [$("model").value, $("compare").value];
  $("model").replaceChildren(...models.map(({ name }) => option(name)));
  $("compare").replaceChildren(
    option("", say("compare_none")),
    ...models.map(({ name }) => option(name)),
  );
  if (chosen[0]) $("model").value = chosen[0];
  $("compare").value = chosen[1] ?? "";
  $("compare-field").hidden = models.length < 2;
  showModelHint();
}

function showModelHint() {
  const model = state.settings?.models.find(({ name }) => name === $("model").value);
  const names = new Intl.DisplayNames(document.documentElement.lang, { type: "language" });
  const languages = model?.languages.map((code) => names.of(code)).join(", ");
  $("model-hint").textContent = model ? say("model_hint", { tokens: model.max_tokens, languages }) : "";
}

function showProblem() {
  const { problem } = state;
  const lines = problem ? [say(problem.key, problem.values), problem.detail] : [];
  $("problem").replaceChildren(
    ...lines.filter(Boolean).map((line) => {
      const shown = document.createElement("p");
      shown.textContent = line;
      return shown;
    }),
  );
  $("query").ariaInvalid = String(problem?.key === "no_query");
  $("documents").ariaInvalid = String(problem?.key === "no_documents");
}

function showStatus() {
  $("status").textContent = state.status ? say(...state.status) : "";
  $("welcome").hidden = !!state.status || state.rankings.length > 0;
  $("stop").hidden = !state.running;
}

function fail(error) {
  if (!(error instanceof Problem)) throw error;
  state.problem = error;
  if (error.key === "status_401") $("key-field").hidden = false;
  showProblem();
  const field = { no_query: "query", no_documents: "documents", status_401: "key" }[error.key];
  if (field) $(field).focus();
}

// Ranking

async function loadSettings() {
  state.settings = await fetchSettings();
  $("key-field").hidden = !state.settings.needs_key;
  showModels();
}

function check(query, given) {
  if (!query.trim()) throw new Problem("no_query");
  if (!given.length) throw new Problem("no_documents");
  const most = state.settings.max_documents;
  if (given.length > most) throw new Problem("too_many", { most, n: given.length });
}

function ask(request, signal) {
  return rank(request, $("key").value.trim(), state.settings.max_body_bytes, signal);
}

async function rankWith(model, query, given, signal) {
  const start = performance.now();
  const answer = await ask({ model, query, documents: given }, signal);
  const total = performance.now() - start;
  return { ...answer, query, documents: given, server: 1000 * answer.seconds, total };
}

// One model after the other, so that the times are each one's own.
async function rankAll(signal) {
  if (!state.settings) await loadSettings();
  const query = $("query").value;
  const given = documents();
  check(query, given);
  state.status = ["ranking", { n: given.length }];
  showStatus();
  const models = [...new Set([$("model").value, $("compare").value])].filter(Boolean);
  const rankings = [];
  for (const model of models) rankings.push(await rankWith(model, query, given, signal));
  state.rankings = rankings;
  const total = rankings.reduce((sum, ranking) => sum + ranking.total, 0);
  state.status = ["ranked", { n: given.length, total: duration(total) }];
  showRankings($("rankings"), rankings, explain);
  if (oneColumn.matches) $("results").scrollIntoView({ block: "start" });
}

async function run() {
  state.running?.abort();
  const own = new AbortController();
  state.running = own;
  state.problem = null;
  showProblem();
  try {
    await rankAll(own.signal);
  } catch (error) {
    if (state.running !== own) return; // another run has taken over
    const stopped = error.name === "AbortError";
    state.status = stopped ? ["stopped"] : null;
    if (!stopped) fail(error);
  }
  state.running = null;
  showStatus();
}

function stop() {
  state.running?.abort();
  $("rank").focus();
}

async function explain(ranking, { index }) {
  const request = {
    model: ranking.model,
    query: ranking.query,
    documents: [ranking.documents[index]],
    explain: true,
  };
  try {
    return (await ask(request)).results[0];
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { problem: error };
  }
}

async function upload() {
  const [file] = $("upload").files;
  if (!file) return;
  state.problem = null;
  try {
    if (!state.settings) await loadSettings();
    const given = await readDocuments(file, state.settings.max_body_bytes);
    state.file = { name: file.name, documents: given };
    showDocuments();
    showProblem();
  } catch (error) {
    fail(error);
  } finally {
    $("upload").value = ""; // so that the same file can be chosen again
  }
}

function useExample() {
  state.file = null;
  $("query").value = EXAMPLE.query;
  $("documents").value = EXAMPLE.documents.join("\n");
  showDocuments();
  run();
}

function listen() {
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  $("form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  });
  $("documents").addEventListener("input", showDocuments);
  $("upload").addEventListener("change", upload);
  $("file-remove").addEventListener("click", () => {
    state.file = null;
    showDocuments();
    $("documents").focus();
  });
  $("example").addEventListener("click", useExample);
  $("example-2").addEventListener("click", useExample);
  $("model").addEventListener("change", showModelHint);
  $("key").addEventListener("input", () => remember("key", $("key").value, "sessionStorage"));
  $("stop").addEventListener("click", stop);
  $("language").addEventListener("click", () => {
    const chosen = language() === "en" ? "zh" : "en";
    remember("language", chosen);
    useLanguage(chosen);
  });
  $("theme").addEventListener("click", () => {
    const chosen = theme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    remember("theme", chosen);
    showTheme();
  });
  systemTheme.addEventListener("change", showTheme);
}

const chosenTheme = remembered("theme");
if (chosenTheme) document.documentElement.dataset.theme = chosenTheme;
$("key").value = remembered("key", "sessionStorage") ?? "";
const own = navigator.language.slice(0, 2);
useLanguage(remembered("language") ?? (own in MESSAGES ? own : "en"));
listen();
loadSettings().catch(fail);
