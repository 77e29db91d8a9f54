import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { scriptText } from "../../src/redis/script-text.ts";

const FOLDER = new URL("../../src/redis/scripts/", import.meta.url);
/** As they are sent, with their parts. */
const SCRIPTS = readdirSync(FOLDER)
  .filter((name) => !name.endsWith(".part.lua"))
  .map((name) => [name, scriptText(name.replace(/\.lua$/, "")).replace(/--.*/g, "")] as const);

/** The arguments of a call whose open parenthesis is before `start`. Commas within brackets do not separate them. */
function argumentsFrom(code: string, start: number): readonly string[] {
  const found = [""];
  let depth = 0;
  for (const char of code.slice(start)) {
    if (")]}".includes(char)) depth--;
    if (depth < 0) break;
    if ("([{".includes(char)) depth++;
    if (char === "," && depth === 0) found.push("");
    else found.push((found.pop() ?? "") + char);
  }
  return found.map((argument) => argument.trim());
}

/** The arguments of each call of a function, without its definition. */
function callsOf(name: string, code: string): readonly (readonly string[])[] {
  return [...code.matchAll(new RegExp(`(?<!function |\\w)${name}\\(`, "g"))].map((match) =>
    argumentsFrom(code, match.index + match[0].length),
  );
}

/** The expressions that name a key, in all commands but `TIME`, which has none. */
function keyExpressions(code: string): readonly string[] {
  return callsOf("redis\\.p?call", code).flatMap(([command = "", key = "", ...more]) => {
    if (command === "'TIME'") return [];
    return command === "'DEL'" || command === "'EXISTS'" ? [key, ...more] : [key];
  });
}

/** Whether every value that the expression can have comes from KEYS. An unknown form counts as built. */
function isDeclared(expression: string, code: string, seen: readonly string[] = []): boolean {
  if (expression === "KEYS" || /^KEYS\[[^\]]+\]$/.test(expression)) return true;
  const [, one, other] = / and (\w+) or (\w+)$/.exec(expression) ?? [];
  if (one !== undefined && other !== undefined)
    return [one, other].every((choice) => isDeclared(choice, code, seen));
  const [, name, call] = /^([A-Za-z_]\w*)(\(.*\))?$/s.exec(expression) ?? [];
  if (name === undefined) return false;
  // A name in another scope, or a recursion: its other values decide.
  if (seen.includes(name)) return true;
  const values = call === undefined ? valuesOf(name, code) : resultsOf(name, code);
  return values.length > 0 && values.every((value) => isDeclared(value, code, [...seen, name]));
}

/** What a function of one line returns. */
function resultsOf(name: string, code: string): readonly string[] {
  return [...code.matchAll(new RegExp(`function ${name}\\([^)]*\\)\\s*return (.+?) end$`, "gm"))].map(
    ([, value = ""]) => value.trim(),
  );
}

/** What a variable, a loop variable or a parameter can be. */
function valuesOf(name: string, code: string): readonly string[] {
  const assigned = [...code.matchAll(/local ([\w, ]+) = ([^\n]+)/g)].flatMap(
    ([, names = "", values = ""]) => {
      const at = placeOf(name, names);
      if (at === -1) return [];
      return /^unpack\(KEYS\b[^)]*\)$/.test(values) ? ["KEYS"] : [argumentsFrom(values, 0)[at] ?? ""];
    },
  );
  const looped = [...code.matchAll(/for \w+, (\w+) in i?pairs\(/g)].flatMap((match) => {
    if (match[1] !== name) return [];
    return itemsOf(argumentsFrom(code, match.index + match[0].length)[0] ?? "", code);
  });
  const passed = [...code.matchAll(/function (\w+)\(([^)]*)\)/g)].flatMap(
    ([, called = "", parameters = ""]) => {
      const at = placeOf(name, parameters);
      return at === -1 ? [] : callsOf(called, code).map((args) => args[at] ?? "");
    },
  );
  return [...assigned, ...looped, ...passed];
}

function placeOf(name: string, names: string): number {
  return names.split(",").findIndex((one) => one.trim() === name);
}

/** The items of a list: of KEYS, of a list that is written there, or of a loop variable that is itself a list. */
function itemsOf(list: string, code: string): readonly string[] {
  if (list === "KEYS") return ["KEYS"];
  if (!list.startsWith("{")) return valuesOf(list, code).flatMap((inner) => itemsOf(inner, code));
  return argumentsFrom(list, 1).map((item) => item.replace(/^\w+ = (?=\{)/, ""));
}

test.each(SCRIPTS)("%s uses only names that it received in KEYS, so that a Cluster can run it", (_, code) => {
  const undeclared = keyExpressions(code).filter((key) => !isDeclared(key, code));
  expect(undeclared).toEqual([]);
  expect(code).not.toMatch(/latchkey:|api_key:/);
});

test.each([
  "redis.call('GET', ARGV[1])",
  "redis.call('GET', 'a:' .. KEYS[1])",
  "redis.call('GET', KEYS[1] .. ARGV[1])",
  "local name = ARGV[1]\nredis.call('GET', name)",
  "local function of(id) return ARGV[1] .. id end\nredis.call('GET', of(1))",
  "for _, name in ipairs(ARGV) do redis.call('GET', name) end",
  "local function read(name) redis.call('GET', name) end\nread(KEYS[1])\nread(ARGV[1])",
])("the check detects a name that is built: %s", (code) => {
  expect(keyExpressions(code).every((key) => isDeclared(key, code))).toBe(false);
});
