// Rankings as elements. Texts of documents only ever become text nodes.

import { duration, say } from "./messages.js";

const EXPLAINED = 3; // documents of a ranking that can be explained
const LONG = 240; // characters from which on a document is not shown whole at first

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Show rankings beside each other. A ranking is {model, documents, results, tokens, server, total};
// its results are {index, score, truncated_tokens}, best first, and get {open, why} here.
export function showRankings(parent, rankings, explain) {
  parent.replaceChildren(
    ...rankings.map((ranking, place) => {
      const other = rankings[1 - place];
      return element(
        "div",
        { className: "ranking" },
        element("h3", {}, ranking.model),
        element("p", {}, facts(ranking, other)),
        entries(ranking, other, explain),
      );
    }),
  );
  if (rankings.length > 1) markTheSame(parent);
}

function facts(ranking, other) {
  const { results, tokens } = ranking;
  const said = say("facts", {
    server: duration(ranking.server),
    total: duration(ranking.total),
    tokens,
  });
  if (!other) return said;
  const top = Math.min(10, Math.ceil(results.length / 2));
  const theirs = new Set(other.results.slice(0, top).map(({ index }) => index));
  const n = results.slice(0, top).filter(({ index }) => theirs.has(index)).length;
  return `${said} · ${say("in_common", { n, top })}`;
}

function entries(ranking, other, explain) {
  const share = scale(ranking.results.map(({ score }) => score));
  const places = other && new Map(other.results.map(({ index }, place) => [index, place + 1]));
  const make = (result, place) => {
    const entry = element("li", { className: "entry" });
    entry.dataset.index = result.index;
    const fill = () => {
      entry.replaceChildren(
        element("span", { className: "rank" }, String(place + 1)),
        text(ranking.documents[result.index], result),
        figures(result, place, share(result.score)),
        notes(ranking, result, place, places?.get(result.index), explain, refill),
      );
    };
    // The button that was pressed is made anew, and keeps the focus.
    const refill = (action) => {
      const focused = entry.contains(document.activeElement);
      fill();
      if (focused) entry.querySelector(`[data-action="${action}"]`)?.focus();
    };
    fill();
    return entry;
  };
  return element("ol", {}, ...ranking.results.map(make));
}

// Scores from 0 to 1 are shown as they are, others between the lowest and the highest.
function scale(scores) {
  const low = Math.min(...scores);
  const high = Math.max(...scores);
  if (low >= 0 && high <= 1) return (score) => score;
  return (score) => (high > low ? (score - low) / (high - low) : 1);
}

function figures(result, place, share) {
  const filled = element("span");
  filled.style.width = `${(100 * share).toFixed(1)}%`;
  const score = element("div", { className: "score", title: String(result.score) });
  score.append(element("span", { className: "hidden" }, `${say("score")} `), result.score.toFixed(3));
  const bar = element("div", { className: "bar", ariaHidden: "true" }, filled);
  return element("div", { className: "figures" }, score, bar, moved(result.index, place));
}

function moved(index, place) {
  const n = Math.abs(index - place);
  const way = index > place ? "up" : index < place ? "down" : "stayed";
  return element(
    "div",
    { className: "moved" },
    element("b", { className: way, ariaHidden: "true" }, say(way, { n })),
    element("span", { className: "hidden" }, `${say(`${way}_words`, { n })}, `),
    ` ${say("was", { n: index + 1 })}`,
  );
}

function text(content, result) {
  const shown = element("p", { className: "text" });
  shown.append(...(result.why?.spans ? marked(content, result.why) : [content]));
  shown.classList.toggle("clamped", isLong(content) && !result.open && !result.why?.spans);
  return shown;
}

function isLong(content) {
  return content.length > LONG || content.split("\n").length > 3;
}

// The server counts characters as Unicode does, not as JavaScript.
function marked(content, { spans, read }) {
  const characters = Array.from(content);
  const slice = (from, to) => characters.slice(from, to).join("");
  const strongest = Math.max(...spans.map(({ attribution }) => attribution));
  const parts = [];
  let from = 0;
  for (const { start, end, attribution } of [...spans].sort((a, b) => a.start - b.start)) {
    const mark = element("mark", {}, slice(start, end));
    mark.style.setProperty("--strength", (attribution / strongest).toFixed(2));
    parts.push(slice(from, start), mark);
    from = end;
  }
  parts.push(slice(from, read), element("span", { className: "unread" }, slice(read)));
  return parts;
}

function notes(ranking, result, place, elsewhere, explain, refill) {
  const made = element("div", { className: "notes" });
  const button = (action, key, pressed) => {
    const shown = element("button", { type: "button", className: "quiet", onclick: pressed });
    shown.append(say(key), element("span", { className: "hidden" }, `: ${place + 1}`));
    shown.dataset.action = action;
    made.append(shown);
    return shown;
  };
  if (elsewhere) made.append(element("span", {}, say("elsewhere", { n: elsewhere })));
  if (result.truncated_tokens) {
    made.append(element("span", { className: "cut" }, say("cut", { n: result.truncated_tokens })));
  }
  if (isLong(ranking.documents[result.index]) && !result.why?.spans) {
    const open = () => {
      result.open = !result.open;
      refill("open");
    };
    button("open", result.open ? "show_less" : "show_all", open).ariaExpanded = String(!!result.open);
  }
  if (place < EXPLAINED) {
    const toggle = async () => {
      if (result.why) {
        delete result.why;
      } else {
        result.why = { busy: true };
        refill("why");
        result.why = await explain(ranking, result);
      }
      refill("why");
    };
    const key = !result.why ? "why" : result.why.busy ? "why_busy" : "why_hide";
    const shown = button("why", key, toggle);
    shown.ariaExpanded = String(!!result.why?.spans);
    shown.ariaDisabled = String(!!result.why?.busy);
    if (result.why?.busy) shown.onclick = null;
    // The button has the focus: its description is read out when it changes.
    const words = element("span", { id: `why-${ranking.model}-${place}` }, whyInWords(result));
    shown.setAttribute("aria-describedby", words.id);
    made.append(words);
  }
  return made;
}

function whyInWords({ why, truncated_tokens: cut }) {
  if (!why || why.busy) return "";
  if (why.problem) return say(why.problem.key, why.problem.values);
  const found = say(why.spans.length ? "why_found" : "why_nothing");
  return cut ? `${found} ${say("why_unread")}` : found;
}

// A document that is pointed at is shown in both rankings.
function markTheSame(parent) {
  const mark = (event, same) => {
    const index = event.target.closest?.(".entry")?.dataset.index;
    if (index === undefined) return;
    for (const entry of parent.querySelectorAll(`.entry[data-index="${index}"]`)) {
      entry.classList.toggle("same", same);
    }
  };
  for (const list of parent.querySelectorAll("ol")) {
    for (const kind of ["pointerover", "focusin"]) list.addEventListener(kind, (e) => mark(e, true));
    for (const kind of ["pointerout", "focusout"]) list.addEventListener(kind, (e) => mark(e, false));
  }
}
