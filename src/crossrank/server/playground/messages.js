// What the page says, in English and Chinese. Both have the same keys; a test sees to it.

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export const MESSAGES = {
  en: {
    other_language: "中文",
    skip: "Skip to the results",
    tagline: "Ranks documents by relevance to a query",
    dark: "Dark",
    light: "Light",
    form_title: "What to rank",
    key: "API key",
    key_hint: "This server needs one. It is kept until this tab is closed.",
    query: "Query",
    query_placeholder: "What do you want to know?",
    documents: "Documents",
    documents_placeholder: "Paste documents here",
    documents_hint: "One a line.",
    documents_count: ({ n }) => count(n, "document", "documents"),
    upload: "Upload a file",
    upload_hint: "JSONL, or CSV with a header: the field is text, document or content. TXT: one a line.",
    file_remove: "Remove",
    example: "Example",
    try_example: "Try an example",
    model: "Model",
    model_hint: ({ tokens, languages }) =>
      `Reads up to ${tokens} tokens of query and document together.` +
      (languages ? ` Made for: ${languages}.` : ""),
    compare: "Compare with",
    compare_none: "nothing",
    rank: "Rank",
    stop: "Stop",
    results_title: "Ranking",
    welcome: "Give a query and some documents: the most relevant ones come first.",
    ranking: ({ n }) => `Ranking ${count(n, "document", "documents")} …`,
    ranked: ({ n, total }) => `Ranked ${count(n, "document", "documents")} in ${total}.`,
    stopped: "Stopped.",
    facts: ({ server, total, tokens }) =>
      `${server} on the server, ${total} in all · ${count(tokens, "token", "tokens")} read`,
    in_common: ({ n, top }) => `${n} of the top ${top} are the same.`,
    score: "score",
    was: ({ n }) => `was ${n}`,
    up: ({ n }) => `▲ ${n}`,
    up_words: ({ n }) => `moved up by ${n}`,
    down: ({ n }) => `▼ ${n}`,
    down_words: ({ n }) => `moved down by ${n}`,
    stayed: "=",
    stayed_words: "did not move",
    elsewhere: ({ n }) => `other model: ${n}`,
    cut: ({ n }) => `${count(n, "token", "tokens")} not read`,
    show_all: "Show all",
    show_less: "Show less",
    why: "Show why",
    why_hide: "Hide why",
    why_busy: "Looking …",
    why_found: "Marked: without it, the score would fall.",
    why_nothing: "No part of this document raises its score.",
    why_unread: "Grey: not read.",
    no_query: "Type a query: what should the documents be about?",
    no_documents: "Give at least one document: paste some, or upload a file.",
    too_many: ({ most, n }) =>
      `This server takes at most ${most} documents at a time, and these are ${n}: leave some out.`,
    too_many_bytes: ({ most }) =>
      `This server takes at most ${most} at a time: leave some documents out.`,
    server_gone: "The server does not answer. Is it still running? Try again in a moment.",
    status_401: "This server needs a valid API key: type one above.",
    status_404: "The server does not have this model any more: reload the page.",
    status_413: "This is more than the server takes at a time.",
    status_422: "The server cannot rank this.",
    status_429: ({ seconds }) => `The server is busy. Try again in ${count(seconds, "second", "seconds")}.`,
    status_503: "The server is about to stop. Try again in a moment.",
    status_504: "The server found no answer in time: try fewer or shorter documents.",
    status_other: ({ status }) => `The server answered with an error (${status}).`,
    file_kind: ({ name }) => `${name} must end in .jsonl, .csv or .txt.`,
    file_size: ({ name, most }) => `${name} is larger than the ${most} that this server takes.`,
    file_empty: ({ name }) => `${name} has no documents.`,
    file_utf8: ({ name, line }) => `${name}, line ${line}: this is not UTF-8. Convert the file first.`,
    file_json: ({ name, line }) => `${name}, line ${line}: this is not JSON. Every line must be.`,
    file_field: ({ name, line }) =>
      `${name}, line ${line}: a text is required, or an object with the text as “text”, “document” or “content”.`,
    file_header: ({ name }) =>
      `${name}, line 1: one of the columns must be called text, document or content.`,
    file_width: ({ name, line, width, n }) =>
      `${name}, line ${line}: ${count(width, "column is", "columns are")} required, as in the first line, and here are ${n}.`,
    file_quote: ({ name, line }) => `${name}, line ${line}: a quotation mark is out of place, or never closed.`,
  },
  zh: {
    other_language: "English",
    skip: "跳到结果",
    tagline: "按与查询的相关性给文档排序",
    dark: "深色",
    light: "浅色",
    form_title: "排序内容",
    key: "API 密钥",
    key_hint: "此服务器需要密钥。关闭本标签页后不再保留。",
    query: "查询",
    query_placeholder: "您想知道什么？",
    documents: "文档",
    documents_placeholder: "在此粘贴文档",
    documents_hint: "每行一篇。",
    documents_count: ({ n }) => `${n} 篇文档`,
    upload: "上传文件",
    upload_hint: "JSONL，或带表头的 CSV：字段名为 text、document 或 content。TXT：每行一篇。",
    file_remove: "移除",
    example: "示例",
    try_example: "试试示例",
    model: "模型",
    model_hint: ({ tokens, languages }) =>
      `查询与文档合计最多读取 ${tokens} 个词元。` + (languages ? `适用语言：${languages}。` : ""),
    compare: "对比模型",
    compare_none: "无",
    rank: "排序",
    stop: "停止",
    results_title: "排序结果",
    welcome: "输入查询和一些文档：最相关的排在最前。",
    ranking: ({ n }) => `正在为 ${n} 篇文档排序……`,
    ranked: ({ n, total }) => `已为 ${n} 篇文档排序，用时 ${total}。`,
    stopped: "已停止。",
    facts: ({ server, total, tokens }) => `服务器 ${server}，总计 ${total} · 读取 ${tokens} 个词元`,
    in_common: ({ n, top }) => `前 ${top} 名中有 ${n} 篇相同。`,
    score: "得分",
    was: ({ n }) => `原第 ${n} 位`,
    up: ({ n }) => `▲ ${n}`,
    up_words: ({ n }) => `上升 ${n} 位`,
    down: ({ n }) => `▼ ${n}`,
    down_words: ({ n }) => `下降 ${n} 位`,
    stayed: "=",
    stayed_words: "位置不变",
    elsewhere: ({ n }) => `另一模型：第 ${n} 位`,
    cut: ({ n }) => `${n} 个词元未读取`,
    show_all: "展开全文",
    show_less: "收起",
    why: "查看原因",
    why_hide: "隐藏原因",
    why_busy: "正在查找……",
    why_found: "标出的部分：若没有它，得分会下降。",
    why_nothing: "此文档中没有任何部分提高得分。",
    why_unread: "灰色部分：未读取。",
    no_query: "请输入查询：文档应当关于什么？",
    no_documents: "请至少提供一篇文档：粘贴文本或上传文件。",
    too_many: ({ most, n }) => `此服务器一次最多接受 ${most} 篇文档，现有 ${n} 篇：请减少文档。`,
    too_many_bytes: ({ most }) => `此服务器一次最多接受 ${most}：请减少文档。`,
    server_gone: "服务器没有响应。它仍在运行吗？请稍后再试。",
    status_401: "此服务器需要有效的 API 密钥：请在上方输入。",
    status_404: "服务器上已没有此模型：请刷新页面。",
    status_413: "内容超过服务器一次可接受的大小。",
    status_422: "服务器无法为此内容排序。",
    status_429: ({ seconds }) => `服务器繁忙。请在 ${seconds} 秒后重试。`,
    status_503: "服务器即将停止。请稍后再试。",
    status_504: "服务器未能及时给出结果：请减少或缩短文档。",
    status_other: ({ status }) => `服务器返回错误（${status}）。`,
    file_kind: ({ name }) => `${name} 必须以 .jsonl、.csv 或 .txt 结尾。`,
    file_size: ({ name, most }) => `${name} 超过此服务器可接受的 ${most}。`,
    file_empty: ({ name }) => `${name} 中没有文档。`,
    file_utf8: ({ name, line }) => `${name} 第 ${line} 行：不是 UTF-8。请先转换文件编码。`,
    file_json: ({ name, line }) => `${name} 第 ${line} 行：不是 JSON。每行都必须是 JSON。`,
    file_field: ({ name, line }) =>
      `${name} 第 ${line} 行：需要一段文本，或以 “text”、“document” 或 “content” 给出文本的对象。`,
    file_header: ({ name }) => `${name} 第 1 行：必须有一列名为 text、document 或 content。`,
    file_width: ({ name, line, width, n }) =>
      `${name} 第 ${line} 行：需要与首行相同的 ${width} 列，此处为 ${n} 列。`,
    file_quote: ({ name, line }) => `${name} 第 ${line} 行：引号位置有误或没有结束。`,
  },
};

let current = "en";

export function language() {
  return current;
}

export function speak(name) {
  current = name in MESSAGES ? name : "en";
}

export function say(key, values = {}) {
  const message = MESSAGES[current][key];
  return typeof message === "function" ? message(values) : message;
}

// Write the texts of all elements that name one.
export function translate(root) {
  for (const element of root.querySelectorAll("[data-say]")) {
    element.textContent = say(element.dataset.say);
  }
  for (const element of root.querySelectorAll("[data-say-placeholder]")) {
    element.placeholder = say(element.dataset.sayPlaceholder);
  }
}

export function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

export function size(bytes) {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
