import { compileFunction } from "node:vm";

const original = globalThis.Function;
const compiled = new Proxy(original, {
  construct(_target, texts: readonly string[]) {
    return compileFunction(texts.at(-1) ?? "", texts.slice(0, -1));
  },
});
let runningCount = 0;

/**
 * Runs `add`, which adds routes to Fastify. The router compiles functions from route names with `new Function`, which
 * `--disallow-code-generation-from-strings` forbids. With that option, `node:vm` compiles them while `add` runs. This is safe:
 * the names are constants of this program, and the server handles no request yet. Afterwards the option applies again.
 */
export async function withRouteCode<T>(add: () => Promise<T>): Promise<T> {
  if (MAY_GENERATE_CODE) return add();
  runningCount += 1;
  globalThis.Function = compiled;
  try {
    return await add();
  } finally {
    runningCount -= 1;
    if (runningCount === 0) globalThis.Function = original;
  }
}

const MAY_GENERATE_CODE = mayGenerateCode();

function mayGenerateCode(): boolean {
  try {
    new original("");
    return true;
  } catch {
    return false;
  }
}
