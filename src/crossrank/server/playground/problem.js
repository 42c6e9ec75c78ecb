// What went wrong, as the key of a message, so that it can be said in either language.

export class Problem extends Error {
  constructor(key, values = {}, detail = "") {
    super(key);
    this.key = key;
    this.values = values;
    this.detail = detail;
  }
}
