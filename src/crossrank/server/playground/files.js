// Documents from files that never leave the browser as files.

import { size } from "./messages.js";
import { Problem } from "./problem.js";

const FIELDS = ["text", "document", "content"];
const READERS = { jsonl: fromJsonLines, ndjson: fromJsonLines, csv: fromCsv, txt: fromLines };

export async function readDocuments(file, mostBytes) {
  const name = file.name;
  const reader = READERS[name.toLowerCase().split(".").pop()];
  if (!reader) throw new Problem("file_kind", { name });
  if (file.size > mostBytes) throw new Problem("file_size", { name, most: size(mostBytes) });
  const text = decode(new Uint8Array(await file.arrayBuffer()), name);
  const documents = reader(text, name).filter((document) => document.trim());
  if (!documents.length) throw new Problem("file_empty", { name });
  return documents;
}

export function fromLines(text) {
  return text.split(/\r\n|\r|\n/).filter((line) => line.trim());
}

function decode(bytes, name) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("file_utf8", { name, line: firstBadLine(bytes) });
  }
}

function firstBadLine(bytes) {
  let line = 1;
  for (let start = 0; start < bytes.length; line += 1) {
    const found = bytes.indexOf(10, start);
    const end = found < 0 ? bytes.length : found;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(start, end));
    } catch {
      return line;
    }
    start = end + 1;
  }
  return line;
}

function fromJsonLines(text, name) {
  const documents = [];
  text.split("\n").forEach((content, index) => {
    if (!content.trim()) return;
    const line = index + 1;
    let value;
    try {
      value = JSON.parse(content);
    } catch {
      throw new Problem("file_json", { name, line });
    }
    const found = typeof value === "string" ? value : textOf(value);
    if (found === undefined) throw new Problem("file_field", { name, line });
    documents.push(found);
  });
  return documents;
}

function textOf(value) {
  const field = FIELDS.find((key) => typeof value?.[key] === "string");
  return field && value[field];
}

// A file of one column needs no header.
function fromCsv(text, name) {
  const rows = parseCsv(text, name);
  if (!rows.length) return [];
  const header = rows[0].values.map((value) => value.trim().toLowerCase());
  const field = FIELDS.find((key) => header.includes(key));
  if (!field && header.length > 1) throw new Problem("file_header", { name });
  for (const { line, values } of rows) {
    if (values.length !== header.length) {
      throw new Problem("file_width", { name, line, width: header.length, n: values.length });
    }
  }
  const column = field ? header.indexOf(field) : 0;
  return rows.slice(field ? 1 : 0).map(({ values }) => values[column]);
}

// RFC 4180: values may be quoted, and then hold commas, line ends and doubled quotation marks.
function parseCsv(text, name) {
  const rows = [];
  let line = 1;
  let position = 0;
  while (position < text.length) {
    const row = { line, values: [] };
    let end;
    do {
      const found = text[position] === '"' ? quoted(text, position) : plain(text, position);
      if (!found) throw new Problem("file_quote", { name, line });
      line += found.value.split("\n").length - 1;
      row.values.push(found.value);
      end = text[found.end];
      position = found.end + 1;
    } while (end === ",");
    if (end === "\r" && text[position] === "\n") position += 1;
    if (row.values.length > 1 || row.values[0]) rows.push(row);
    line += 1;
  }
  return rows;
}

// What is quoted, and where its value ends; nothing if it never ends, or something follows.
function quoted(text, start) {
  let end = text.indexOf('"', start + 1);
  while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
  if (end < 0) return null;
  const next = text[end + 1];
  if (next !== undefined && !",\r\n".includes(next)) return null;
  return { value: text.slice(start + 1, end).replaceAll('""', '"'), end: end + 1 };
}

function plain(text, start) {
  const border = /[,\r\n"]/g;
  border.lastIndex = start;
  const end = border.exec(text)?.index ?? text.length;
  return text[end] === '"' ? null : { value: text.slice(start, end), end };
}
