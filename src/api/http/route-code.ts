import { compileFunction } from "node:vm";

const given = globalThis.Function;
const compiled = new Proxy(given, {
  construct(_target, texts: readonly string[]) {
    return compileFunction(texts.at(-1) ?? "", texts.slice(0, -1));
  },
});
let adding = 0;

/**
 * Runs what adds routes to Fastify. Its router makes functions of the routes' names by `new Function`, which
 * `--disallow-code-generation-from-strings` forbids. Under that option they are compiled by `node:vm` while this runs: the
 * names are constants of this program, and no request is answered by that server yet. After it the option holds again.
 */
export async function withRouteCode<T>(add: () => Promise<T>): Promise<T> {
  if (MAY_GENERATE_CODE) return add();
  adding += 1;
  globalThis.Function = compiled;
  try {
    return await add();
  } finally {
    adding -= 1;
    if (adding === 0) globalThis.Function = given;
  }
}

const MAY_GENERATE_CODE = mayGenerateCode();

function mayGenerateCode(): boolean {
  try {
    new given("");
    return true;
  } catch {
    return false;
  }
}
